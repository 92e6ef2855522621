"""What a transaction should pay for gas, from the fees of the latest blocks, and what its replacement must pay."""

from dataclasses import replace

from viz_node.chain.account.library import chain_of
from viz_node.chain.account.signing import Fees
from viz_node.chain.encoding.abi import encode
from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.node.rpc import JsonRpc, RpcRefusedError, to_bytes, to_hex
from viz_node.errors import ChainUnavailableError

BLOCKS = 5
# The base fee rises by at most an eighth per block: twice the next one lasts for six full blocks.
BASE_FEE_MARGIN = 2
# Nodes take a replacement that offers a tenth more; EIP-1559 clients are asked for an eighth.
RAISE_PERCENT = 1125
_PERMILLE = 1000
# Where OP-stack rollups and Scroll tell what posting a transaction's data on their L1 costs. Arbitrum counts it as gas.
_DATA_FEE_ORACLES = ("0x420000000000000000000000000000000000000f", "0x5300000000000000000000000000000000000002")
_DATA_FEE_QUESTION = keccak(b"getL1Fee(bytes)")[:4]
# Nonce, fees, gas limit, receiver and the framing of a transaction beside its data; the oracles add the signature.
_ENVELOPE = b"\xff" * 60


def read_fees(rpc: JsonRpc, gas: int, data: bytes) -> Fees:
    """Fees for the next blocks: twice the next base fee, the median of the tips that were paid, twice the data fee.

    Raises: ChainUnavailableError.
    """
    return replace(_gas_fees(rpc, gas), data_fee=BASE_FEE_MARGIN * _data_fee(rpc, data))


def _data_fee(rpc: JsonRpc, data: bytes) -> int:
    """What a rollup takes for posting the transaction now, in wei; nothing on a chain without such an oracle."""
    question = to_hex(_DATA_FEE_QUESTION + encode(("bytes",), (data + _ENVELOPE,)))
    calls = [("eth_call", [{"to": oracle, "data": question}, "latest"]) for oracle in _DATA_FEE_ORACLES]
    try:
        answers = [to_bytes(answer) for answer in rpc.batch(calls)]
    except RpcRefusedError:
        return 0  # another contract is there, which does not know the question
    return max((int.from_bytes(answer) for answer in answers if len(answer) == 32), default=0)


def _gas_fees(rpc: JsonRpc, gas: int) -> Fees:
    try:
        base_fee, tips = chain_of(rpc).fees(BLOCKS)
    except RpcRefusedError as error:
        raise ChainUnavailableError(f"the chain does not tell its fees: {error.message}", "use another RPC") from error
    tip = max(1, sorted(tips)[len(tips) // 2] if tips else 0)
    return Fees(gas, BASE_FEE_MARGIN * base_fee + tip, tip)


def raised(before: Fees, market: Fees) -> Fees:
    """Fees that replace a transaction: an eighth more than before, or what the market asks if that is more."""
    max_fee = max(_raise(before.max_fee), market.max_fee)
    tip = min(max_fee, max(_raise(before.priority_fee), market.priority_fee))
    return Fees(before.gas, max_fee, tip, market.data_fee)


def _raise(price: int) -> int:
    return -(-price * RAISE_PERCENT // _PERMILLE)
