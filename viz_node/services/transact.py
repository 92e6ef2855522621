"""One transaction pipeline: written to the outbox before it is sent, never signed twice for one order.

An entry is `signed → sent → confirmed | failed`; after a time-out it is `unknown` and the same raw bytes go out again,
so that an order can be repeated at any instruction without paying twice: the nonce is part of the bytes.
"""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from viz_node.domain.records import OutboxEntry
from viz_node.errors import DeadlineError, TransactionRevertedError
from viz_node.ports import Call, Receipt, Store, TransactionSender
from viz_node.services.library import entry_of

_WAIT_SECONDS = 60.0


class Treasury:
    """Sends the node's transactions one at a time; the only owner of the account's nonces."""

    def __init__(self, store: Store, sender: TransactionSender, now: Callable[[], int]) -> None:
        self._store = store
        self._sender = sender
        self._now = now
        self._lock = asyncio.Lock()

    async def execute(self, order_id: str, make_call: Callable[[], Call], detail: dict[str, Any]) -> Receipt:
        """Send the call of this order, once; a repeated order gets the receipt of the first.

        Raises: TransactionRevertedError, InsufficientFundsError, ChainUnavailableError, DeadlineError (state unknown).
        """
        async with self._lock:
            entry = entry_of(self._store, order_id)
            if entry is None or entry.state == "failed":
                entry = await self._sign(order_id, make_call, detail)
            return await self._settle(entry)

    async def recover(self) -> None:
        """Bring entries that a crash left open to an end; what the chain does not answer stays `unknown`."""
        async with self._lock:
            for entry in sorted(self._store.pending_outbox(), key=lambda item: item.nonce):
                try:
                    await self._settle(entry)
                except (DeadlineError, TransactionRevertedError):
                    continue

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

    async def _settle(self, entry: OutboxEntry) -> Receipt:
        receipt = await asyncio.to_thread(self._sender.find_receipt, entry.tx_hash)
        if receipt is None:
            await asyncio.to_thread(self._sender.broadcast, entry.raw)
            self._save(entry, "sent")
            try:
                receipt = await asyncio.to_thread(self._sender.wait, entry.tx_hash, _WAIT_SECONDS)
            except DeadlineError:
                self._save(entry, "unknown")
                raise
        if receipt.status != 1:
            self._save(entry, "failed")
            raise TransactionRevertedError(f"transaction {entry.tx_hash} was refused by the contract")
        self._save(entry, "confirmed")
        return receipt

    def _save(self, entry: OutboxEntry, state: str) -> None:
        self._store.save_outbox(replace(entry, state=state, updated=self._now()))
