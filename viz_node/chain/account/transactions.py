"""Simulate, price, sign, broadcast and follow transactions; what to call is decided elsewhere (`market.py`)."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from viz_node.chain.account.fees import raised, read_fees
from viz_node.chain.account.signing import Fees, KeySigner, SignedTransaction, Signer, fields_of, transaction_fields
from viz_node.chain.contract.artifact import load_artifact
from viz_node.chain.contract.ledger import LedgerEntry, decode_entry, is_entry
from viz_node.chain.node.endpoints import Endpoints
from viz_node.chain.node.rpc import JsonRpc, RpcRefusedError, to_hex, to_int
from viz_node.domain.ids import Account, format_amount, format_coin
from viz_node.errors import (
    ChainUnavailableError,
    DeadlineError,
    InsufficientFundsError,
    TransactionRevertedError,
    VizNodeError,
)

if TYPE_CHECKING:
    from viz_node.chain.contract.deployment import Deployment

GAS_MARGIN_PERCENT = 125
FIRST_POLL_SECONDS = 0.05
LONGEST_POLL_SECONDS = 2.0

_HINTS = {
    "AlreadyLicensed": "the license is held already; fetch the adapter",
    "AlreadyRegistered": "the adapter is published already",
    "PriceAboveMax": "look at the offer and raise --max-price",
    "InvalidPlatformFee": "name an account whose key somebody holds",
    "NothingDue": "wait for a sale",
    "ERC20InsufficientAllowance": "approve the market first",
    "OfferClosed": "its owner has withdrawn it, or it is suspended",
    "OfferEscrowed": "order it through the escrow",
    "OfferMetered": "open a channel",
    "OtherOffer": "the market does not offer what the seller's manifest says; look at the listing again, pay nothing",
    "PausedTooRecently": "sales run thirty days between two pauses",
    "SalesPaused": "the steward has stopped all sales, for 30 days at most; claims and refunds go on",
    "PlatformShare": "every split gives the platform its fee",
    "SessionKeyIsContract": "name the account of a key; a contract cannot sign vouchers",
    "TooEarly": "wait until the other side's time is over",
}
Policy = str | int | Callable[[], int]
_KNOWN_ALREADY = ("already known", "already imported", "nonce too low", "known transaction", "already exists")
# Said while an earlier attempt with the same nonce waits, or the fees have risen since: they are raised by the sender.
_TOO_CHEAP = ("underpriced", "less than block base fee")


@dataclass(frozen=True)
class Call:
    """One contract call, ready to be signed; `description` tells a person what it does."""

    to: Account
    data: bytes
    description: str


@dataclass(frozen=True)
class Receipt:
    """The outcome of a transaction: status 1 = done, 0 = reverted; the ledger entries that it wrote."""

    status: int
    tx_hash: str
    block_number: int
    logs: list[LedgerEntry]
    block_hash: str = ""


@dataclass(frozen=True)
class Confirmations:
    """When a block counts: a tag of the chain, how many blocks below the latest, or what tells the block's number.

    What is in a block at `show` is told to people; what is in one at `book` is never looked at again.
    """

    show: Policy = "safe"
    book: Policy = "finalized"


@dataclass(frozen=True)
class Heads:
    """The numbers of the latest block, of the latest that is shown, and of the latest that is booked."""

    latest: int
    shown: int
    booked: int


AT_ONCE = Confirmations(0, 0)


class TransactionSender:
    """Sends transactions of one account; keeps no state, so that the caller's outbox is the only memory."""

    def __init__(
        self,
        rpc: str | Endpoints,
        deployment: "Deployment",
        signer: bytes | Signer,
        confirmations: Confirmations = AT_ONCE,
    ) -> None:
        self._rpc = Endpoints([rpc], deployment) if isinstance(rpc, str) else rpc
        self._deployment = deployment
        self.signer = KeySigner(signer) if isinstance(signer, bytes) else signer
        self.account = self.signer.account
        self._confirmations = confirmations

    def next_nonce(self) -> int:
        """The nonce after all transactions that the chain knows, pending ones included."""
        return self._count("pending")

    def mined_nonce(self) -> int:
        """How many transactions of the account are in blocks: every lower nonce is spent."""
        return self._count("latest")

    def booked_nonce(self) -> int:
        """How many are in blocks that are booked: every lower nonce is spent for ever."""
        policy, heads = self._confirmations.book, self.heads()
        return self._count(policy if isinstance(policy, str) else hex(max(0, heads.booked)))

    def heads(self) -> Heads:
        """Where the chain is."""
        policy = self._confirmations
        latest = to_int(ask(self._rpc, "eth_blockNumber"))
        return Heads(latest, self._number(policy.show, latest), self._number(policy.book, latest))

    def sign(self, call: Call, nonce: int) -> SignedTransaction:
        """Simulate the call, estimate its gas with a margin, and sign it.

        Raises: TransactionRevertedError, InsufficientFundsError, ChainUnavailableError.
        """
        return sign_prepared(self._rpc, self.signer, nonce, call.to, call.data)

    def quote_wei(self, call: Call) -> int:
        """The most that the call's gas may cost now; nothing is signed. Raises: as `sign`."""
        return priced(self._rpc, self.account, call.to, call.data).cost_wei()

    def sign_again(self, raw: bytes) -> SignedTransaction:
        """The same transaction with fees high enough to take its place.

        Raises: InsufficientFundsError, ChainUnavailableError.
        """
        fields = fields_of(raw)
        before = Fees(fields["gas"], fields["maxFeePerGas"], fields["maxPriorityFeePerGas"])
        fees = raised(before, read_fees(self._rpc, before.gas, bytes(fields["data"])))
        _require_gas_money(self._rpc, self.account, fees)
        return self.signer.sign_transaction(
            fields | {"maxFeePerGas": fees.max_fee, "maxPriorityFeePerGas": fees.priority_fee}
        )

    def sign_typed_data(self, data: dict[str, Any]) -> bytes:
        """A permit or a payment of the account: 65 bytes, r || s || v."""
        return self.signer.sign_typed_data(data)

    @property
    def asks_nobody(self) -> bool:
        """Whether a signature can be made only to simulate with it."""
        return self.signer.asks_nobody

    def broadcast(self, raw: bytes) -> None:
        """Hand the transaction to the chain; doing it again does no harm. Raises: as `sign`."""
        send(self._rpc, raw)

    def find_receipt(self, tx_hash: str) -> Receipt | None:
        """The outcome if the transaction is in a block. Raises: ChainUnavailableError."""
        body = ask(self._rpc, "eth_getTransactionReceipt", tx_hash)
        return None if body is None or body.get("blockHash") is None else self._receipt(body)

    def wait(self, tx_hash: str, timeout_seconds: float) -> Receipt:
        """The outcome, waiting for it. Raises: DeadlineError, ChainUnavailableError."""
        return self._receipt(wait_for(self._rpc, tx_hash, timeout_seconds))

    def _receipt(self, body: dict[str, Any]) -> Receipt:
        logs = [decode_entry(log) for log in body["logs"] if is_entry(log, self._deployment.market)]
        place = to_int(body["blockNumber"]), logs, str(body["blockHash"])
        return Receipt(to_int(body["status"]), str(body["transactionHash"]), *place)

    def _count(self, block: str) -> int:
        return to_int(ask(self._rpc, "eth_getTransactionCount", self.account, block))

    def _number(self, policy: Policy, latest: int) -> int:
        if isinstance(policy, int):
            return latest - policy
        if not isinstance(policy, str):
            return min(latest, policy())
        block = ask(self._rpc, "eth_getBlockByNumber", policy, False)
        # A chain that has just begun has no safe block.
        return to_int(block["number"]) if isinstance(block, dict) else -1


def chain_id_of(rpc: JsonRpc) -> int:
    """The chain's id. Raises: ChainUnavailableError."""
    return to_int(ask(rpc, "eth_chainId"))


def sign_prepared(rpc: JsonRpc, signer: Signer, nonce: int, to: str | None, data: bytes) -> SignedTransaction:
    """Simulate, price and sign. Raises: TransactionRevertedError, InsufficientFundsError, ChainUnavailableError."""
    fees = priced(rpc, signer.account, to, data)
    _require_gas_money(rpc, signer.account, fees)
    return signer.sign_transaction(transaction_fields(chain_id_of(rpc), nonce, to, data, fees))


def priced(rpc: JsonRpc, account: Account, to: str | None, data: bytes) -> Fees:
    """Simulate and price, signing nothing. Raises: TransactionRevertedError, ChainUnavailableError."""
    request = {"from": account, "data": to_hex(data), **({} if to is None else {"to": to})}
    try:
        rpc.call("eth_call", request, "latest")
        gas = to_int(rpc.call("eth_estimateGas", request, "latest")) * GAS_MARGIN_PERCENT // 100
    except RpcRefusedError as error:
        raise translate_refusal(error) from error
    return read_fees(rpc, gas, data)


def _require_gas_money(rpc: JsonRpc, account: Account, fees: Fees) -> None:
    balance = to_int(ask(rpc, "eth_getBalance", account, "latest"))
    missing = fees.cost_wei() - balance
    if missing > 0:
        raise InsufficientFundsError(
            f"{account} has {format_coin(balance)} coins and the gas may cost {format_coin(fees.cost_wei())}",
            f"send the account {format_coin(missing)} for gas",
        )


def send(rpc: JsonRpc, raw: bytes) -> None:
    """Broadcast; a transaction that the chain knows already is fine. Raises: as `sign_prepared`."""
    try:
        rpc.call("eth_sendRawTransaction", to_hex(raw))
    except RpcRefusedError as error:
        if not any(text in error.message.lower() for text in (*_KNOWN_ALREADY, *_TOO_CHEAP)):
            raise translate_refusal(error) from error


def wait_for(rpc: JsonRpc, tx_hash: str, timeout_seconds: float) -> dict[str, Any]:
    """The raw receipt, polling with growing pauses. Raises: DeadlineError, ChainUnavailableError."""
    deadline, pause = time.monotonic() + timeout_seconds, FIRST_POLL_SECONDS
    while True:
        body = ask(rpc, "eth_getTransactionReceipt", tx_hash)
        if isinstance(body, dict) and body.get("blockNumber") is not None:
            return body
        if time.monotonic() + pause > deadline:
            raise DeadlineError(f"transaction {tx_hash} is in no block after {timeout_seconds:g} s", "look again later")
        time.sleep(pause)
        pause = min(2 * pause, LONGEST_POLL_SECONDS)


def translate_refusal(error: RpcRefusedError) -> VizNodeError:
    """The endpoint's error as one of ours, by the contract's error name when there is one."""
    found = load_artifact("Market").error_of(error.data) or load_artifact("TestToken").error_of(error.data)
    if found is not None and found[0] == "ERC20InsufficientBalance":
        _, has, needs = found[1]
        return InsufficientFundsError(
            f"the account has {format_amount(has)} tokens and needs {format_amount(needs)}",
            f"add {format_amount(needs - has)} payment tokens",
        )
    if found is not None:
        name, values = found
        shown = ", ".join(str(value) for value in values)
        return TransactionRevertedError(f"the contract refused: {name}({shown})", _HINTS.get(name, ""))
    text = error.message.lower()
    if "insufficient funds" in text:
        return InsufficientFundsError("the account cannot pay for gas", "send the account gas money")
    if "revert" in text or error.data:
        return TransactionRevertedError(f"the contract refused: {error.message}")
    return ChainUnavailableError(f"the chain refused the request: {error.message}", "try again")


def ask(rpc: JsonRpc, method: str, *params: Any) -> Any:
    """The result of one request that no chain should refuse. Raises: ChainUnavailableError."""
    try:
        return rpc.call(method, *params)
    except RpcRefusedError as error:
        raise ChainUnavailableError(f"the chain refused {method}: {error.message}", "try again") from error
