"""The transactions of one account, from a call to its receipt; what to call is decided elsewhere (`gateway/`)."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from viz_node.chain.account.fees import raised, read_fees
from viz_node.chain.account.library import chain_of
from viz_node.chain.account.sending import priced, require_gas_money, send, sign_prepared, wait_for
from viz_node.chain.account.signing import Fees, KeySigner, Signer, fields_of
from viz_node.chain.contract.ledger import LedgerEntry, entry_of, is_entry
from viz_node.chain.node.endpoints import Endpoints
from viz_node.chain.node.logs import Log
from viz_node.chain.node.rpc import ask, to_hex, to_int
from viz_node.domain.deployment import Deployment
from viz_node.domain.transaction import Call, Heads, Receipt, SignedTransaction, TypedData

Policy = str | int | Callable[[], int]


@dataclass(frozen=True)
class EntryReceipt(Receipt):
    """A receipt with the ledger entries that the transaction wrote."""

    logs: tuple[LedgerEntry, ...] = ()


@dataclass(frozen=True)
class Confirmations:
    """When a block counts: a tag of the chain, how many blocks below the latest, or what tells the block's number.

    What is in a block at `show` is told to people; what is in one at `book` is never looked at again.
    """

    show: Policy = "safe"
    book: Policy = "finalized"


AT_ONCE = Confirmations(0, 0)


class TransactionSender:
    """Sends transactions of one account; keeps no state, so that the caller's outbox is the only memory."""

    def __init__(
        self,
        rpc: str | Endpoints,
        deployment: Deployment,
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
        """How many are in blocks that are booked: every lower nonce is spent permanently."""
        policy, heads = self._confirmations.book, self.heads()
        return self._count(policy if isinstance(policy, str) else max(0, heads.booked))

    def heads(self) -> Heads:
        """Where the chain is; asked by nodes that transact nothing, and so without web3.py."""
        policy = self._confirmations
        latest = to_int(ask(self._rpc, "eth_blockNumber"))
        return Heads(latest, self._number(policy.show, latest), self._number(policy.book, latest))

    def sign(self, call: Call, nonce: int) -> SignedTransaction:
        """Simulate the call, estimate its gas with a margin, and sign it.

        Raises: TransactionRevertedError, InsufficientFundsError, ChainUnavailableError.
        """
        return sign_prepared(self._rpc, self.signer, nonce, call.to, call.data)

    def quote_wei(self, call: Call) -> int:
        """The most that the call's gas may cost now; nothing is signed.

        Raises: TransactionRevertedError, ChainUnavailableError.
        """
        return priced(self._rpc, self.account, call.to, call.data).cost_wei()

    def sign_again(self, raw: bytes) -> SignedTransaction:
        """The same transaction with fees high enough to take its place.

        Raises: InsufficientFundsError, ChainUnavailableError.
        """
        fields = fields_of(raw)
        before = Fees(fields["gas"], fields["maxFeePerGas"], fields["maxPriorityFeePerGas"])
        fees = raised(before, read_fees(self._rpc, before.gas, bytes(fields["data"])))
        require_gas_money(self._rpc, self.account, fees)
        return self.signer.sign_transaction(
            fields | {"maxFeePerGas": fees.max_fee, "maxPriorityFeePerGas": fees.priority_fee}
        )

    def sign_typed_data(self, data: TypedData) -> bytes:
        """A permit or a payment of the account: 65 bytes, r || s || v."""
        return self.signer.sign_typed_data(data)

    @property
    def asks_nobody(self) -> bool:
        """Whether a signature can be made only to simulate with it."""
        return self.signer.asks_nobody

    def broadcast(self, raw: bytes) -> None:
        """Hand the transaction to the chain; doing it again does no harm. Raises: ChainUnavailableError."""
        send(self._rpc, raw)

    def find_receipt(self, tx_hash: str) -> EntryReceipt | None:
        """The outcome if the transaction is in a block. Raises: ChainUnavailableError."""
        receipt = chain_of(self._rpc).find_receipt(tx_hash)
        return None if receipt is None else self._receipt(receipt)

    def wait(self, tx_hash: str, timeout_seconds: float) -> EntryReceipt:
        """The outcome, waiting for it. Raises: DeadlineError, ChainUnavailableError."""
        return self._receipt(wait_for(self._rpc, tx_hash, timeout_seconds))

    def _receipt(self, told: dict[str, Any]) -> EntryReceipt:
        logs = (_log(log) for log in told["logs"])
        entries = tuple(entry_of(log) for log in logs if is_entry(log, self._deployment.market))
        place = told["blockNumber"], to_hex(told["blockHash"]), entries
        return EntryReceipt(told["status"], to_hex(told["transactionHash"]), *place)

    def _count(self, block: str | int) -> int:
        return chain_of(self._rpc).count(self.account, block)

    def _number(self, policy: Policy, latest: int) -> int:
        if isinstance(policy, int):
            return latest - policy
        if not isinstance(policy, str):
            return min(latest, policy())
        block = ask(self._rpc, "eth_getBlockByNumber", policy, False)
        # A chain that has just begun has no safe block.
        return to_int(block.get("number")) if isinstance(block, dict) else -1


def _log(told: Mapping[str, Any]) -> Log:
    """A log as web3.py reads it."""
    return Log(
        address=told["address"].lower(),
        topics=tuple(to_hex(topic) for topic in told["topics"]),
        data=to_hex(told["data"]),
        block_number=told["blockNumber"],
        block_hash=to_hex(told["blockHash"]),
        tx_hash=to_hex(told["transactionHash"]),
        position=told["transactionIndex"],
        log_index=told["logIndex"],
    )
