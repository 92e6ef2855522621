"""One transaction pipeline: written to the outbox before it is sent, never signed twice for one order.

An entry is `signed → sent → confirmed | failed`; after a time-out it is `unknown` and the same raw bytes go out again,
so that an order can be repeated at any instruction without paying twice: the nonce is part of the bytes. It is signed
anew only when it can never be mined: the contract refused it, or another transaction spent its nonce. Before a new one
is signed the open ones are settled, so that no two entries share a nonce. `tests/unit/services/test_transact.py`.
"""

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from viz_node.domain.records import OutboxEntry
from viz_node.errors import ChainUnavailableError, DeadlineError, TransactionRevertedError
from viz_node.ports import Call, Receipt, Store, TransactionSender
from viz_node.services.library import entry_of

_WAIT_SECONDS = 60.0
_FIRST_PAUSE_SECONDS = 0.05
_LONGEST_PAUSE_SECONDS = 2.0


class Treasury:
    """Sends the node's transactions one at a time; the only owner of the account's nonces."""

    def __init__(
        self, store: Store, sender: TransactionSender, now: Callable[[], int], wait_seconds: float = _WAIT_SECONDS
    ) -> None:
        self._store = store
        self._sender = sender
        self._now = now
        self._wait_seconds = wait_seconds
        self._lock = asyncio.Lock()

    async def execute(self, order_id: str, make_call: Callable[[], Call], detail: dict[str, Any]) -> str:
        """Send the call of this order, once, and wait for its success; the hash, for a repeated order the first one's.

        Raises: TransactionRevertedError, InsufficientFundsError, ChainUnavailableError, DeadlineError (state unknown).
        """
        async with self._lock:
            entry = self._open_entry(order_id)
            if entry is None:
                await self._settle_pending()
                entry = await self._sign(order_id, make_call, detail)
            await self._settle(entry)
            return entry.tx_hash

    async def finish(self, order_id: str) -> OutboxEntry | None:
        """Bring what was signed for this order to its success; None if nothing was. Raises: as `execute`."""
        async with self._lock:
            entry = self._open_entry(order_id)
            if entry is not None:
                await self._settle(entry)
            return entry

    async def recover(self) -> None:
        """Bring entries that a crash left open to an end; what the chain does not answer stays `unknown`."""
        async with self._lock:
            with contextlib.suppress(DeadlineError):
                await self._settle_pending()

    def _open_entry(self, order_id: str) -> OutboxEntry | None:
        entry = entry_of(self._store, order_id)
        return None if entry is None or entry.state == "failed" else entry

    async def _settle_pending(self) -> None:
        for entry in self._store.pending_outbox():
            with contextlib.suppress(TransactionRevertedError):
                await self._settle(entry)

    async def _sign(self, order_id: str, make_call: Callable[[], Call], detail: dict[str, Any]) -> OutboxEntry:
        call = await asyncio.to_thread(make_call)
        nonce = await asyncio.to_thread(self._sender.next_nonce)
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
        self._store.add_outbox(entry)
        return entry

    async def _settle(self, entry: OutboxEntry) -> None:
        # The nonce first: were it mined between the two questions, there is a receipt.
        is_spent = await asyncio.to_thread(self._sender.mined_nonce) > entry.nonce
        receipt = await asyncio.to_thread(self._sender.find_receipt, entry.tx_hash)
        if receipt is None and is_spent and entry.state == "confirmed":
            return  # an endpoint that no longer keeps receipts so old
        if receipt is None and not is_spent:
            await self._send(entry)
        receipt = receipt or await self._wait(entry, is_spent)
        if receipt.status != 1:
            self._save(entry, "failed")
            raise TransactionRevertedError(f"transaction {entry.tx_hash} was refused by the contract")
        self._save(entry, "confirmed")

    async def _send(self, entry: OutboxEntry) -> None:
        if await asyncio.to_thread(self._sender.next_nonce) < entry.nonce:
            raise ChainUnavailableError(
                "the chain does not know earlier transactions of this account: it was reset, or is still catching up",
                "restore the chain's state, or start with a new --home",
            )
        await asyncio.to_thread(self._sender.broadcast, entry.raw)
        self._save(entry, "sent")

    async def _wait(self, entry: OutboxEntry, is_spent: bool) -> Receipt:
        """Polls, because a thread that waits could not be cancelled when the node stops.

        A spent nonce without a receipt is believed only after the whole time: endpoints behind one address may lag.
        """
        loop = asyncio.get_running_loop()
        deadline, pause = loop.time() + self._wait_seconds, _FIRST_PAUSE_SECONDS
        while loop.time() + pause <= deadline:
            receipt = await asyncio.to_thread(self._sender.find_receipt, entry.tx_hash)
            if receipt is not None:
                return receipt
            await asyncio.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_SECONDS)
        if is_spent:
            self._save(entry, "failed")
            raise TransactionRevertedError(
                f"another transaction took the place of {entry.tx_hash}: the account is in use elsewhere",
                "viz-node jobs resume JOB",
            )
        self._save(entry, "unknown")
        raise DeadlineError(f"transaction {entry.tx_hash} is in no block after {self._wait_seconds:g} s", "try again")

    def _save(self, entry: OutboxEntry, state: str) -> None:
        self._store.save_outbox(replace(entry, state=state, updated=self._now()))
