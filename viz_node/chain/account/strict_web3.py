"""web3.py over the node's own transport: it builds calls from the ABI and asks about one account's transactions.

web3.py opens no connection here. Each answer is bounded in size and time, has the id of its question and the chain of
the market, and is of the shape of its method, before the library sees it. A refusal passes through as RpcRefusedError.
Importing this module costs 0.2 s and 20 MB: `library.py` is the way to it.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Annotated, Any, NotRequired, TypedDict

from msgspec import Meta
from web3 import Web3
from web3.exceptions import TransactionNotFound, Web3Exception
from web3.providers.base import BaseProvider, JSONBaseProvider

from viz_node.chain.contract.artifact import load_artifact
from viz_node.chain.encoding.abi import Type, parse_type
from viz_node.chain.node.rpc import JsonRpc, RpcRefusedError, to_hex
from viz_node.errors import ChainUnavailableError, UsageError

MOST_LOGS = 4096
"""More than a transaction of ours writes; web3.py reads them in half a second."""
_Quantity = Annotated[str, Meta(pattern=r"\A0x[0-9a-fA-F]{1,16}\Z")]
_Wei = Annotated[str, Meta(pattern=r"\A0x[0-9a-fA-F]{1,64}\Z")]
_Data = Annotated[str, Meta(pattern=r"\A0x([0-9a-fA-F]{2})*\Z")]
_Word = Annotated[str, Meta(pattern=r"\A0x[0-9a-fA-F]{64}\Z")]
_Address = Annotated[str, Meta(pattern=r"\A0x[0-9a-fA-F]{40}\Z")]


class _Fees(TypedDict):
    baseFeePerGas: Annotated[list[_Quantity], Meta(min_length=1, max_length=1024)]
    reward: NotRequired[Annotated[list[Annotated[list[_Quantity], Meta(min_length=1)]], Meta(max_length=1024)] | None]


class _Log(TypedDict):
    address: _Address
    topics: Annotated[list[_Word], Meta(max_length=4)]
    data: _Data
    blockNumber: _Quantity
    blockHash: _Word
    transactionHash: _Word
    transactionIndex: _Quantity
    logIndex: _Quantity


class _Receipt(TypedDict):
    status: NotRequired[_Quantity | None]
    transactionHash: _Word
    blockHash: _Word | None
    blockNumber: _Quantity | None
    contractAddress: NotRequired[_Address | None]
    logs: Annotated[list[_Log], Meta(max_length=MOST_LOGS)]


# No other method is asked for by web3.py.
_SHAPES: Mapping[str, Any] = {
    "eth_call": _Data,
    "eth_chainId": _Quantity,
    "eth_estimateGas": _Quantity,
    "eth_feeHistory": _Fees,
    "eth_getBalance": _Wei,
    "eth_getTransactionCount": _Quantity,
    "eth_getTransactionReceipt": _Receipt | None,
    "eth_sendRawTransaction": _Word,
}
# What web3.py and the ABI library under it raise for values that they cannot read or write.
_THEIRS = (Web3Exception, ValueError, TypeError, LookupError, AttributeError, ArithmeticError)


class StrictProvider(JSONBaseProvider):
    """The connection that web3.py gets: ours."""

    # Else a contract could choose addresses for web3.py to connect to (EIP-3668).
    global_ccip_read_enabled = False

    def __init__(self, rpc: JsonRpc) -> None:
        super().__init__()
        self._rpc = rpc

    def make_request(self, method: Any, params: Any) -> Any:
        """The result, of the method's shape. Raises: ChainUnavailableError, RpcRefusedError."""
        if method not in _SHAPES:
            raise ChainUnavailableError(f"the node does not ask a chain for {method}")
        return {"jsonrpc": "2.0", "id": 1, "result": self._rpc.call(method, *params, shape=_SHAPES[method])}


class Web3Chain:
    """What an account asks of its chain. All methods raise ChainUnavailableError; RpcRefusedError if they say so."""

    def __init__(self, rpc: JsonRpc) -> None:
        self._eth = Web3(StrictProvider(rpc), middleware=[]).eth

    def chain_id(self) -> int:
        """The chain's id."""
        with _answered("its id"):
            return int(self._eth.chain_id)

    def balance_wei(self, account: str) -> int:
        """The account's coins now."""
        with _answered("a balance"):
            return int(self._eth.get_balance(_checksummed(account), "latest"))

    def count(self, account: str, block: str | int) -> int:
        """How many transactions of the account the chain has at a block or a tag: the next nonce."""
        with _answered("a nonce"):
            return int(self._eth.get_transaction_count(_checksummed(account), block))

    def fees(self, blocks: int) -> tuple[int, list[int]]:
        """The next block's base fee, and the median tips of the latest blocks. Raises: RpcRefusedError."""
        with _readable("its fees"):
            history = self._eth.fee_history(blocks, "latest", [50])
            return history["baseFeePerGas"][-1], [row[0] for row in history.get("reward") or ()]

    def gas_of(self, account: str, to: str | None, data: bytes) -> int:
        """What the transaction uses, after it was simulated. Raises: RpcRefusedError (with what the contract says)."""
        request: dict[str, Any] = {"from": _checksummed(account), "data": to_hex(data)}
        if to is not None:
            request["to"] = _checksummed(to)
        with _readable("a simulation"):
            self._eth.call(request, "latest", ccip_read_enabled=False)
            return int(self._eth.estimate_gas(request, "latest"))

    def send(self, raw: bytes) -> None:
        """Hand a signed transaction to the chain. Raises: RpcRefusedError."""
        with _readable("a transaction"):
            self._eth.send_raw_transaction(raw)

    def find_receipt(self, tx_hash: str) -> dict[str, Any] | None:
        """The receipt as web3.py reads it; None for a transaction that is in no block."""
        with _answered("a receipt"):
            try:
                receipt = dict(self._eth.get_transaction_receipt(tx_hash))
            except TransactionNotFound:
                return None
        if to_hex(receipt["transactionHash"]) != tx_hash:
            raise ChainUnavailableError("the chain gave the receipt of another transaction", "use another RPC")
        if receipt["blockHash"] is None or receipt["blockNumber"] is None:
            return None
        if receipt.get("status") not in (0, 1):
            raise ChainUnavailableError("the chain gave a receipt without an outcome", "use another RPC")
        return receipt


def encode_call(contract: str, function: str, values: Sequence[Any]) -> bytes:
    """The call of a function of one of our contracts. Raises: UsageError (the values do not fit)."""
    inputs = load_artifact(contract).functions[function].inputs
    with _encodable(function):
        arguments = _arguments(inputs, values)
        return bytes.fromhex(_contract(contract).encode_abi(f"{function}({','.join(inputs)})", arguments)[2:])


def encode_creation(contract: str, values: Sequence[Any]) -> bytes:
    """The data that creates one of our contracts. Raises: UsageError (the values do not fit)."""
    with _encodable(contract):
        arguments = _arguments(load_artifact(contract).constructor, values)
        return bytes.fromhex(_contract(contract).constructor(*arguments).data_in_transaction[2:])


@cache
def _contract(name: str) -> Any:
    artifact = load_artifact(name)
    return Web3(BaseProvider(), middleware=[]).eth.contract(abi=artifact.abi, bytecode=to_hex(artifact.bytecode))


def _arguments(kinds: Sequence[str], values: Sequence[Any]) -> list[Any]:
    """The values as web3.py takes them: accounts as bytes, for as texts it wants them in mixed case."""
    return [_argument(parse_type(kind), value) for kind, value in zip(kinds, values, strict=True)]


def _argument(kind: Type, value: Any) -> Any:
    match kind.name:
        case "address":
            return bytes.fromhex(value[2:])
        case "list":
            return [_argument(kind.parts[0], item) for item in value]
        case "tuple":
            return tuple(_argument(part, item) for part, item in zip(kind.parts, value, strict=True))
    return value


def _checksummed(account: str) -> Any:
    return Web3.to_checksum_address(account)


@contextmanager
def _encodable(name: str) -> Iterator[None]:
    try:
        yield
    except _THEIRS as error:
        reason = " ".join(str(error).split())
        raise UsageError(f"{name} does not take these values: {reason:.200}", "check amounts and accounts") from error


@contextmanager
def _readable(what: str) -> Iterator[None]:
    try:
        yield
    except _THEIRS as error:
        reason = " ".join(str(error).split()) or type(error).__name__
        raise ChainUnavailableError(
            f"the chain's answer about {what} is malformed: {reason:.200}", "use another RPC"
        ) from error


@contextmanager
def _answered(what: str) -> Iterator[None]:
    """For what no chain should refuse."""
    with _readable(what):
        try:
            yield
        except RpcRefusedError as error:
            raise ChainUnavailableError(f"the chain does not tell {what}: {error.message:.300}", "try again") from error
