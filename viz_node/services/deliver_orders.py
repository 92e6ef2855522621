"""The seller's side of fair delivery: keys for paid orders, and the money once no dispute is possible any more.

Like the buyer's side it needs no memory but the chain's. An order is delivered only when the block in which it was seen
is shown as safe: a delivery tells the buyer the key for ever, also when a reorganisation takes the payment back.
"""

import asyncio
import hashlib
import logging
from collections.abc import Sequence

from viz_node.domain.records import AdapterRecord
from viz_node.errors import TransactionRevertedError, VerificationError
from viz_node.ports import KeyOrder
from viz_node.services.order_key import DELIVERED, ORDERED
from viz_node.services.publish_adapter import Publisher
from viz_node.services.trade import Trade

log = logging.getLogger(__name__)

MOST_IN_A_BATCH = 50


class Deliveries:
    """Orders for what this node sells."""

    def __init__(self, trade: Trade, publisher: Publisher) -> None:
        self._trade = trade
        self._publisher = publisher
        self._seen_in: dict[bytes, int] = {}
        self._hopeless: set[bytes] = set()

    async def watch(self) -> None:
        """Take every order one step on. Raises: ChainUnavailableError, VerificationError, DeadlineError."""
        heads = await self._trade.treasury.heads()
        now = await asyncio.to_thread(self._trade.market.block_time)
        settled: list[KeyOrder] = []
        for record in self._publisher.published():
            orders = await self._orders(record)
            fresh = [order for order in orders if order.state == ORDERED and now < order.terms.deadline]
            for order in fresh:
                self._seen_in.setdefault(order.terms.encoded, heads.latest)
            safe = [order for order in fresh if self._seen_in[order.terms.encoded] <= heads.shown]
            await asyncio.gather(*(self._deliver(record, order) for order in safe))
            settled += [order for order in orders if order.state == DELIVERED and now > order.delivery.deadline]
        await self._settle(settled)

    async def _orders(self, record: AdapterRecord) -> Sequence[KeyOrder]:
        market, manifest = self._trade.market, self._trade.catalogue.manifest_of(record)
        digest = bytes.fromhex(manifest.adapter_id())
        on_chain = await asyncio.to_thread(market.find_adapter, digest, manifest.account)
        if on_chain is None:
            return []
        offers = await asyncio.to_thread(market.offers_of, on_chain.number)
        escrowed = [offer.offer_id for offer in offers if offer.is_escrowed]
        return await asyncio.to_thread(market.orders_for, escrowed) if escrowed else []

    async def _deliver(self, record: AdapterRecord, order: KeyOrder) -> None:
        trade = self._trade
        key = trade.sealing.open(bytes.fromhex(record.sealed_key or ""))
        if order.terms.encoded in self._hopeless:
            return
        try:
            if trade.delivery.key_hash(key) != order.terms.key_hash:
                raise VerificationError("it asks for another key")
            given = trade.delivery.wrap_for_order(key, order.terms.point)
            await trade.treasury.execute(
                f"deliver:{order.number}:{hashlib.sha256(order.terms.encoded).hexdigest()[:16]}",
                lambda: trade.market.prepare_deliver(order, given.point, given.wrapped),
                {"kind": "deliver", "order": order.number, "name": record.name},
            )
        except (VerificationError, TransactionRevertedError) as error:
            self._hopeless.add(order.terms.encoded)
            log.warning("order %d for %s is not delivered: %s", order.number, record.name, error.message)

    async def _settle(self, orders: Sequence[KeyOrder]) -> None:
        """Credit the prices. What an earlier batch still does comes first, so that no order stands in two."""
        trade = self._trade
        pending = {entry.order_id for entry in trade.store.pending_outbox() if entry.kind == "settle"}
        if pending or not orders:
            await asyncio.gather(*(trade.treasury.finish(order_id) for order_id in pending))
            return
        batch = orders[:MOST_IN_A_BATCH]
        numbers = [order.number for order in batch]
        order_id = "settle:" + hashlib.sha256(repr(numbers).encode()).hexdigest()[:16]
        try:
            await trade.treasury.execute(
                order_id, lambda: trade.market.prepare_settle(batch), {"kind": "settle", "orders": numbers}
            )
        except TransactionRevertedError as error:  # anyone may settle: the next look knows which are left
            log.warning("orders %s are not settled: %s", numbers, error.message)
