"""One transaction pipeline: in the outbox before it is sent, never signed anew while an earlier one may be mined.

`domain/pipeline.py` decides; the treasury carries out one step after the other. It can be killed at any instruction and
repeated any time, by the caller that waits for the order, by the task in the background, and after a restart.
`tests/unit/services/money/test_transact.py`.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from viz_node.domain.pipeline import (
    Blocks,
    Book,
    Look,
    Raise,
    Rest,
    Seen,
    Send,
    free_nonce,
    may_sign,
    next_attempt,
    next_step,
    overdue,
)
from viz_node.domain.purposes import Purpose
from viz_node.domain.records import DONE_OUTBOX_STATES, OutboxEntry
from viz_node.domain.transaction import Call, Heads, Receipt
from viz_node.errors import (
    ChainUnavailableError,
    DeadlineError,
    InsufficientFundsError,
    TransactionRevertedError,
)
from viz_node.ports.money import TransactionSender
from viz_node.ports.state import Outbox
from viz_node.services.library.look_up import attempts_of, entry_of

log = logging.getLogger(__name__)

_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0
_NOT_IN_A_BLOCK = ("signed", "sent", "unknown")


@dataclass(frozen=True)
class Patience:
    """How long an order waits to be mined, and then to be shown; after how many blocks its fees are raised.

    `doubt_seconds`: for how long an endpoint may count a transaction and not tell its receipt yet.
    """

    mined_seconds: float = 60.0
    shown_seconds: float = 1800.0
    doubt_seconds: float = 3.0
    blocks_before_raise: int = 4


class Treasury:
    """Sends the node's transactions; the only owner of the account's nonces. What plans may ask is `GasQuotes`.

    `on_undone` hears of an order whose success was shown, and that a reorganisation has undone permanently.
    """

    def __init__(
        self,
        outbox: Outbox,
        sender: TransactionSender,
        now: Callable[[], int],
        patience: Patience | None = None,
        on_undone: Callable[[OutboxEntry], None] = lambda entry: None,
    ) -> None:
        self._outbox = outbox
        self._sender = sender
        self._now = now
        self._patience = patience or Patience()
        self._on_undone = on_undone
        self._lock = asyncio.Lock()

    async def execute(self, order_id: str, make_call: Callable[[], Call], purpose: Purpose) -> str:
        """Send the call of this order, once, and wait for its success; the hash, for a repeated order the first one's.

        Raises: TransactionRevertedError, InsufficientFundsError, ChainUnavailableError, DeadlineError (state unknown).
        """
        await self._sign_once(order_id, make_call, purpose)
        return (await self._settle(order_id)).tx_hash

    async def submit(self, order_id: str, make_call: Callable[[], Call], purpose: Purpose) -> OutboxEntry:
        """Send the call of this order, once, and wait for nothing: `recover` sees it through.

        For those who look at the chain again anyway, and whose other orders must not wait until this one is shown.
        Raises: TransactionRevertedError (it would be refused now), InsufficientFundsError, ChainUnavailableError.
        """
        if not await self._sign_once(order_id, make_call, purpose):
            return attempts_of(self._outbox, order_id)[-1]
        return await self._step(order_id)

    async def finish(self, order_id: str) -> OutboxEntry | None:
        """Bring what was signed for this order to its success; None if nothing was.

        Raises: TransactionRevertedError, ChainUnavailableError, DeadlineError (state unknown).
        """
        entry = entry_of(self._outbox, order_id)
        return None if entry is None or entry.state == "failed" else await self._settle(order_id)

    async def heads(self) -> Heads:
        """Where the chain is. Raises: ChainUnavailableError."""
        return await asyncio.to_thread(self._sender.heads)

    async def recover(self) -> None:
        """Take every open order one step on. Raises: ChainUnavailableError."""
        for order_id in dict.fromkeys(entry.order_id for entry in self._outbox.pending_outbox()):
            entry = await self._step(order_id)
            if entry.state in _NOT_IN_A_BLOCK:  # it may have been sent just now, and be mined at once
                await self._step(order_id)

    async def _sign_once(self, order_id: str, make_call: Callable[[], Call], purpose: Purpose) -> bool:
        """Sign unless what was signed before may still succeed; whether it did."""
        async with self._lock:
            if not may_sign(attempts_of(self._outbox, order_id)):
                return False
            await self._sign(order_id, make_call, purpose)
            return True

    async def _sign(self, order_id: str, make_call: Callable[[], Call], purpose: Purpose) -> None:
        call = await asyncio.to_thread(make_call)
        chain_nonce = await asyncio.to_thread(self._sender.next_nonce)
        nonce = free_nonce(chain_nonce, self._outbox.pending_outbox())
        signed = await asyncio.to_thread(self._sender.sign, call, nonce)
        entry = OutboxEntry(
            order_id=order_id,
            purpose=purpose,
            state="signed",
            raw=signed.raw,
            tx_hash=signed.tx_hash,
            nonce=signed.nonce,
            description=call.description,
            created=self._now(),
            updated=self._now(),
        )
        self._outbox.add_outbox(entry)

    async def _settle(self, order_id: str) -> OutboxEntry:
        """Steps until the order is shown. Polls, because a thread that waits could not be cancelled at a stop."""
        loop = asyncio.get_running_loop()
        started, pause = loop.time(), 0.0
        while True:
            entry = await self._step(order_id)
            if entry.state in DONE_OUTBOX_STATES:
                return entry
            if entry.state in ("reverted", "failed"):
                raise _refusal(entry)
            is_mined = entry.state == "mined"
            patience = self._patience.shown_seconds if is_mined else self._patience.mined_seconds
            if loop.time() + pause > started + patience:
                raise self._give_up(entry, patience)
            await asyncio.sleep(pause)
            pause = min(max(2 * pause, _FIRST_PAUSE_SECONDS), _LONGEST_PAUSE_SECONDS)

    def _give_up(self, entry: OutboxEntry, patience: float) -> DeadlineError:
        if entry.state == "mined":
            text = f"transaction {entry.tx_hash} is in block {entry.block}, which is not safe after {patience:g} s"
            return DeadlineError(text, "try again later")
        self._save(overdue(entry))
        return DeadlineError(f"transaction {entry.tx_hash} is in no block after {patience:g} s", "try again")

    async def _step(self, order_id: str) -> OutboxEntry:
        """Do what is to be done about the order's transaction, until there is nothing more to do now."""
        async with self._lock:
            seen = Seen()
            while True:
                attempts = attempts_of(self._outbox, order_id)
                match next_step(attempts, seen, self._patience.blocks_before_raise):
                    case Rest(entry):
                        return entry
                    case Look() as question:
                        seen = await self._look(question, seen, attempts)
                    case Book() as step:
                        self._book(step)
                    case Send() as step:
                        await self._send(step)
                        seen = replace(seen, pending_nonce=step.entry.nonce + 1)
                    case Raise(entry, heads):
                        if not await self._raise_fees(entry, heads):
                            return entry

    async def _look(self, question: Look, seen: Seen, attempts: Sequence[OutboxEntry]) -> Seen:
        match question:
            case Look.BLOCKS:
                heads = await asyncio.to_thread(self._sender.heads)
                # The nonce first: were it booked between the two questions, there is a receipt.
                booked = await asyncio.to_thread(self._sender.booked_nonce)
                return replace(seen, blocks=Blocks(heads, booked, await self._find(attempts)))
            case Look.BLOCKS_AGAIN:
                # Anvil counts a transaction milliseconds before it knows the receipt, servers behind one name seconds.
                await asyncio.sleep(self._patience.doubt_seconds)
                heads = await asyncio.to_thread(self._sender.heads)
                receipt = await self._find(attempts)
                # The nonce last, so that the endpoint that knows no receipt is one that knows of the nonce.
                booked = await asyncio.to_thread(self._sender.booked_nonce)
                return replace(seen, blocks=Blocks(heads, booked, receipt, is_second=True))
            case Look.PENDING:
                return replace(seen, pending_nonce=await asyncio.to_thread(self._sender.next_nonce))
            case Look.MINED:
                return replace(seen, mined_nonce=await asyncio.to_thread(self._sender.mined_nonce))

    async def _find(self, attempts: Sequence[OutboxEntry]) -> Receipt | None:
        """The receipt of the attempt that is in a block."""
        for entry in reversed(attempts):
            receipt = await asyncio.to_thread(self._sender.find_receipt, entry.tx_hash)
            if receipt is not None:
                return receipt
        return None

    def _book(self, step: Book) -> None:
        if step.gone is not None:
            log.warning("block %s with transaction %s is gone", step.gone.block, step.gone.tx_hash)
        if step.undone is not None:
            log.error("the chain has undone transaction %s (%s)", step.undone.tx_hash, step.undone.order_id)
            self._on_undone(step.undone)
        for entry in step.entries:
            self._save(entry)

    async def _send(self, step: Send) -> None:
        if step.below:
            await self._fill_gap(step.below)
        await asyncio.to_thread(self._sender.broadcast, step.entry.raw)
        if step.sent != step.entry:
            self._save(step.sent)

    async def _raise_fees(self, entry: OutboxEntry, heads: Heads) -> bool:
        """Write down another attempt; whether the account can pay for it."""
        try:
            signed = await asyncio.to_thread(self._sender.sign_again, entry.raw)
        except InsufficientFundsError as error:
            log.warning("transaction %s waits at its price: %s", entry.tx_hash, error.message)
            return False
        attempt = next_attempt(entry, signed, heads)
        self._outbox.add_outbox(attempt)
        log.info("transaction %s is replaced by %s with higher fees", entry.tx_hash, attempt.tx_hash)
        return True

    async def _fill_gap(self, nonces: range) -> None:
        """Send again the transactions that the chain has forgotten below one that waits for them."""
        below = {entry.nonce: entry for entry in self._outbox.pending_outbox() if entry.nonce in nonces}
        if len(below) < len(nonces):
            raise ChainUnavailableError(
                "the chain does not know earlier transactions of this account: it was reset, or is still catching up",
                "restore the chain's state, or start with a new --home",
            )
        for _, entry in sorted(below.items()):
            await asyncio.to_thread(self._sender.broadcast, entry.raw)

    def _save(self, entry: OutboxEntry) -> None:
        self._outbox.save_outbox(replace(entry, updated=self._now()))


def _refusal(entry: OutboxEntry) -> TransactionRevertedError:
    if entry.block_hash:
        hint = "" if entry.state == "failed" else "it can be ordered again once its block is final"
        return TransactionRevertedError(f"transaction {entry.tx_hash} was refused by the contract", hint)
    return TransactionRevertedError(
        f"another transaction took the place of {entry.tx_hash}: the account is in use elsewhere",
        "viz-node jobs resume JOB",
    )
