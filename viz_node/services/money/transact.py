"""One transaction pipeline: in the outbox before it is sent, never signed anew while an earlier one may be mined.

An order has one transaction at a time: attempts that share a nonce, each with higher fees than the one before, of which
the chain takes at most one. `_step` looks what became of them and does the next thing: send, send again, replace, book.
It can be killed at any instruction and repeated any time, by the caller that waits for the order, by the task in the
background, and after a restart.

States of an entry are told in `domain/records.py`. An order is signed anew only when its transaction can never succeed:
refused in a block that is booked, or its nonce spent by another transaction in one. A block that vanishes takes its
transactions out of `mined` and `confirmed`; they are sent again as they are.
`tests/unit/services/money/test_transact.py`.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

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
_MOST_ATTEMPTS = 12
_SHOWN = "shown"
_ENDS = ("final", "failed")
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

    async def execute(self, order_id: str, make_call: Callable[[], Call], detail: dict[str, Any]) -> str:
        """Send the call of this order, once, and wait for its success; the hash, for a repeated order the first one's.

        Raises: TransactionRevertedError, InsufficientFundsError, ChainUnavailableError, DeadlineError (state unknown).
        """
        await self._sign_once(order_id, make_call, detail)
        return (await self._settle(order_id)).tx_hash

    async def submit(self, order_id: str, make_call: Callable[[], Call], detail: dict[str, Any]) -> OutboxEntry:
        """Send the call of this order, once, and wait for nothing: `recover` sees it through.

        For those who look at the chain again anyway, and whose other orders must not wait until this one is shown.
        Raises: TransactionRevertedError (it would be refused now), InsufficientFundsError, ChainUnavailableError.
        """
        if not await self._sign_once(order_id, make_call, detail):
            return attempts_of(self._outbox, order_id)[-1]
        return await self._step(order_id)

    async def finish(self, order_id: str) -> OutboxEntry | None:
        """Bring what was signed for this order to its success; None if nothing was. Raises: as `execute`."""
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

    async def _sign_once(self, order_id: str, make_call: Callable[[], Call], detail: dict[str, Any]) -> bool:
        """Sign unless what was signed before may still succeed; whether it did."""
        async with self._lock:
            entry = entry_of(self._outbox, order_id)
            if entry is not None and entry.state != "failed":
                return False
            await self._sign(order_id, make_call, detail)
            return True

    async def _sign(self, order_id: str, make_call: Callable[[], Call], detail: dict[str, Any]) -> None:
        call = await asyncio.to_thread(make_call)
        chain_nonce = await asyncio.to_thread(self._sender.next_nonce)
        nonce = max([chain_nonce, *(entry.nonce + 1 for entry in self._outbox.pending_outbox())])
        signed = await asyncio.to_thread(self._sender.sign, call, nonce)
        entry = OutboxEntry(
            order_id=order_id,
            kind=str(detail.get("kind", "transaction")),
            state="signed",
            raw=signed.raw,
            tx_hash=signed.tx_hash,
            nonce=signed.nonce,
            detail=detail | {"description": call.description},
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
        self._save(entry, state="unknown")
        return DeadlineError(f"transaction {entry.tx_hash} is in no block after {patience:g} s", "try again")

    async def _step(self, order_id: str) -> OutboxEntry:
        """Look what became of the order's transaction, and do the next thing about it."""
        async with self._lock:
            attempts = attempts_of(self._outbox, order_id)
            known = entry_of(self._outbox, order_id) or attempts[-1]
            if known.state in _ENDS:
                return known
            heads = await asyncio.to_thread(self._sender.heads)
            # The nonce first: were it booked between the two questions, there is a receipt.
            is_spent = await self._is_spent(known.nonce)
            found = await self._find(attempts)
            if found is None and is_spent:
                # Anvil counts a transaction milliseconds before it knows the receipt, servers behind one name seconds.
                await asyncio.sleep(self._patience.doubt_seconds)
                found = await self._find(attempts)
                # And again, so that the endpoint that knows no receipt is one that knows of the nonce.
                is_spent = await self._is_spent(known.nonce)
            if found is not None:
                return self._include(*found, heads, attempts)
            if is_spent:
                return self._abandon(known, attempts)
            if known.block_hash:
                log.warning("block %s with transaction %s (%s) is gone", known.block, known.tx_hash, order_id)
                self._save(known, state="sent", block=heads.latest, block_hash="")
                attempts = attempts_of(self._outbox, order_id)
            return await self._send(attempts[-1], heads, attempts)

    async def _find(self, attempts: Sequence[OutboxEntry]) -> tuple[OutboxEntry, Receipt] | None:
        """The attempt that is in a block."""
        for entry in reversed(attempts):
            receipt = await asyncio.to_thread(self._sender.find_receipt, entry.tx_hash)
            if receipt is not None:
                return entry, receipt
        return None

    async def _is_spent(self, nonce: int) -> bool:
        """Whether a booked block has a transaction with this nonce."""
        return await asyncio.to_thread(self._sender.booked_nonce) > nonce

    def _include(
        self, entry: OutboxEntry, receipt: Receipt, heads: Heads, attempts: Sequence[OutboxEntry]
    ) -> OutboxEntry:
        """One attempt is in a block: it is believed as far as that block is."""
        is_booked, is_done = receipt.block_number <= heads.booked, receipt.status == 1
        if is_booked:
            state = "final" if is_done else "failed"
        elif receipt.block_number <= heads.shown and is_done:
            state = "confirmed"
        else:
            state = "mined" if is_done else "reverted"
        for other in attempts:
            if other.tx_hash != entry.tx_hash and (is_booked or other.block_hash):
                self._save(other, state="replaced" if is_booked else "sent", block_hash="")
        detail = entry.detail | ({_SHOWN: True} if state in DONE_OUTBOX_STATES else {})
        place = {"block": receipt.block_number, "block_hash": receipt.block_hash}
        if state == "failed":
            self._tell_undone(entry, attempts)
        return self._save(entry, state=state, detail=detail, **place)

    def _abandon(self, known: OutboxEntry, attempts: Sequence[OutboxEntry]) -> OutboxEntry:
        """Another transaction has this nonce permanently."""
        self._tell_undone(known, attempts)
        for entry in attempts:
            self._save(entry, state="failed", block_hash="")
        return replace(known, state="failed", block_hash="")

    def _tell_undone(self, entry: OutboxEntry, attempts: Sequence[OutboxEntry]) -> None:
        if any(attempt.detail.get(_SHOWN) for attempt in attempts):
            log.error("the chain has undone transaction %s (%s)", entry.tx_hash, entry.order_id)
            self._on_undone(entry)

    async def _send(self, entry: OutboxEntry, heads: Heads, attempts: Sequence[OutboxEntry]) -> OutboxEntry:
        """Send what the chain does not have, and raise the fees of what it has had for too long."""
        chain_nonce = await asyncio.to_thread(self._sender.next_nonce)
        if chain_nonce < entry.nonce:
            await self._fill_gap(chain_nonce, entry.nonce)
        if entry.state == "signed" or chain_nonce <= entry.nonce:
            await asyncio.to_thread(self._sender.broadcast, entry.raw)
            if entry.state == "signed":
                return self._save(entry, state="sent", block=heads.latest)
        is_late = heads.latest - entry.block >= self._patience.blocks_before_raise
        if is_late and len(attempts) < _MOST_ATTEMPTS:
            is_mined = await asyncio.to_thread(self._sender.mined_nonce) > entry.nonce
            return entry if is_mined else await self._raise_fees(entry, heads)
        return entry

    async def _raise_fees(self, entry: OutboxEntry, heads: Heads) -> OutboxEntry:
        try:
            signed = await asyncio.to_thread(self._sender.sign_again, entry.raw)
        except InsufficientFundsError as error:
            log.warning("transaction %s waits at its price: %s", entry.tx_hash, error.message)
            return entry
        attempt = replace(entry, state="signed", raw=signed.raw, tx_hash=signed.tx_hash, block=heads.latest)
        self._outbox.add_outbox(attempt)
        log.info("transaction %s is replaced by %s with higher fees", entry.tx_hash, attempt.tx_hash)
        await asyncio.to_thread(self._sender.broadcast, attempt.raw)
        return self._save(attempt, state="sent")

    async def _fill_gap(self, first: int, end: int) -> None:
        """Send again the transactions that the chain has forgotten below one that waits for them."""
        below = {entry.nonce: entry for entry in self._outbox.pending_outbox() if first <= entry.nonce < end}
        if len(below) < end - first:
            raise ChainUnavailableError(
                "the chain does not know earlier transactions of this account: it was reset, or is still catching up",
                "restore the chain's state, or start with a new --home",
            )
        for _, entry in sorted(below.items()):
            await asyncio.to_thread(self._sender.broadcast, entry.raw)

    def _save(self, entry: OutboxEntry, **changes: Any) -> OutboxEntry:
        changed = replace(entry, **changes)
        if changed == entry:
            return entry
        saved = replace(changed, updated=self._now())
        self._outbox.save_outbox(saved)
        return saved


def _refusal(entry: OutboxEntry) -> TransactionRevertedError:
    if entry.block_hash:
        hint = "" if entry.state == "failed" else "it can be ordered again once its block is final"
        return TransactionRevertedError(f"transaction {entry.tx_hash} was refused by the contract", hint)
    return TransactionRevertedError(
        f"another transaction took the place of {entry.tx_hash}: the account is in use elsewhere",
        "viz-node jobs resume JOB",
    )
