"""The seller's side of fair delivery: keys for paid orders, and the money once no dispute is possible any more.

Like the buyer's side it needs no memory but the chain's, and waits for no transaction: each look sends what is due, and
the next one sees what came of it. An order is delivered only when the block of its payment is shown as safe, because a
delivered key stays revealed, even if a reorganisation takes the payment back; and only while there is time, because the
market refuses a late one, which reveals the key nevertheless. What was missed goes back
to its buyer, and the seller is told why (`check`), also when the node was away all the time.
"""

import asyncio
import hashlib
import logging
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from viz_node.domain.health import Check, warned, well
from viz_node.domain.ids import format_time
from viz_node.domain.order import Order, OrderState
from viz_node.domain.purposes import Purpose
from viz_node.domain.records import AdapterRecord
from viz_node.domain.transaction import Heads
from viz_node.errors import InsufficientFundsError, TransactionRevertedError, VerificationError
from viz_node.ports.market import OrdersToDeliver
from viz_node.ports.money import SafeSpending
from viz_node.ports.state import WithAdapters, WithOutbox
from viz_node.services.library.look_up import published
from viz_node.services.market.listings import Listings
from viz_node.services.market.seal_bundle import SellerKeys

log = logging.getLogger(__name__)

NAME = "deliveries"
MOST_IN_A_BATCH = 50
# The shortest window is 600 s: a fifth of it, in which the fees are raised several times if they are too low. A chain
# whose windows are longer may be congested for longer: a twentieth of a day is 72 minutes.
LEAST_SECONDS_LEFT = 120
PART_OF_WINDOW = 20
_BLOCKS_BEFORE_ANOTHER_TRY = 50
_TOLD_SECONDS = 7 * 24 * 3600
_UNKNOWN_CAUSE = "this node did not run in time, or did not reach its chain"


@dataclass(frozen=True)
class Missed:
    """A paid order that was not delivered while there was time; its money goes back at the deadline."""

    number: int
    name: str
    deadline: int
    cause: str


class DeliveryState(WithAdapters, WithOutbox, Protocol):
    """The adapters, and the transactions that are under way."""


class Deliveries:
    """Orders for what this node sells."""

    def __init__(
        self,
        store: DeliveryState,
        market: OrdersToDeliver,
        treasury: SafeSpending,
        keys: SellerKeys,
        listings: Listings,
    ) -> None:
        self._store = store
        self._market = market
        self._treasury = treasury
        self._keys = keys
        self._listings = listings
        self._refused_in: dict[int, int] = {}
        """The block in which an order was refused last, by its number."""
        self._missed: dict[int, Missed] = {}
        """Orders that are left to their refund, of which the log tells once."""
        self._causes: dict[int, str] = {}
        """Why an order was not delivered at the last look."""
        self._has_looked_back = False

    async def watch(self) -> None:
        """Take every order one step on. Raises: ChainUnavailableError, VerificationError, InsufficientFundsError."""
        heads = await self._treasury.heads()
        now = await asyncio.to_thread(self._market.block_time)
        margin = least_seconds_left((await asyncio.to_thread(self._market.facts)).delivery_window_seconds)
        if not self._has_looked_back:
            await self._look_back()
            self._has_looked_back = True
        settled, running, delivered = [], set[int](), set[int]()
        for record in published(self._store.adapters, self._store.outbox):
            offers = await self._escrowed(record)
            orders = await asyncio.to_thread(self._market.orders_for, offers) if offers else []
            running |= {order.number for order in orders}
            delivered |= {order.number for order in orders if order.state == OrderState.DELIVERED}
            for order in orders:
                if order.state == OrderState.ORDERED and now + margin < order.terms.deadline:
                    await self._deliver(record, order, heads)
                elif order.state == OrderState.ORDERED and order.number not in self._missed:
                    missed = self._note_missed(record, order, self._causes.get(order.number, _UNKNOWN_CAUSE))
                    text = "order %d for %s goes back to its buyer: a delivery in the last %d s may come too late; %s"
                    log.warning(text, order.number, record.name, margin, missed.cause)
            settled += [order for order in orders if order.may_be_settled(now)]
        self._forget(running, delivered, now)
        await self._settle(settled)

    def _forget(self, running: set[int], delivered: set[int], now: int) -> None:
        """Keep only what concerns running orders, and what was missed in the last week."""
        told = {number: missed for number, missed in self._missed.items() if now < missed.deadline + _TOLD_SECONDS}
        self._missed = {number: missed for number, missed in told.items() if number not in delivered}
        self._causes = {number: cause for number, cause in self._causes.items() if number in running}
        self._refused_in = {number: block for number, block in self._refused_in.items() if number in running}

    def check(self) -> Check:
        """Whether buyers got the keys that they paid for, as the last look found it."""
        if not self._missed:
            return well(NAME, "no paid order was left without its key in the last week")
        latest = max(self._missed.values(), key=lambda missed: missed.deadline)
        count = f"{len(self._missed)} paid order{'s were' if len(self._missed) > 1 else ' was'} not delivered in time"
        detail = f"{count} in the last week; order {latest.number} for {latest.name}: {latest.cause}"
        fix = (
            f"nothing is to be done for it, its buyer gets the money back from {format_time(latest.deadline)} on; "
            "for the next one keep the node running, its chain reachable, and gas in its account"
        )
        return warned(NAME, detail, fix)

    async def _look_back(self) -> None:
        """Find what was missed and went back while the node was away."""
        for record in published(self._store.adapters, self._store.outbox):
            offers = await self._escrowed(record)
            ended = await asyncio.to_thread(self._market.orders_ever_for, offers) if offers else []
            for order in ended:
                if order.state == OrderState.REFUNDED:
                    self._note_missed(record, order, _UNKNOWN_CAUSE)

    def _note_missed(self, record: AdapterRecord, order: Order, cause: str) -> Missed:
        missed = Missed(order.number, record.name, order.terms.deadline, cause)
        return self._missed.setdefault(order.number, missed)

    async def _escrowed(self, record: AdapterRecord) -> set[int]:
        market, manifest = self._market, self._listings.manifest_of(record)
        digest = bytes.fromhex(manifest.adapter_id())
        on_chain = await asyncio.to_thread(market.find_adapter, digest, manifest.account)
        if on_chain is None:
            return set()
        offers = await asyncio.to_thread(market.offers_of, on_chain.number)
        return {offer.offer_id for offer in offers if offer.is_escrowed}

    async def _deliver(self, record: AdapterRecord, order: Order, heads: Heads) -> None:
        again_in = self._refused_in.get(order.number, -_BLOCKS_BEFORE_ANOTHER_TRY) + _BLOCKS_BEFORE_ANOTHER_TRY
        if order.block > heads.shown:
            self._causes[order.number] = "the block of its payment was not shown as safe in time"
        if order.block > heads.shown or heads.latest < again_in:
            return
        try:
            key = self._keys.sealing.open(bytes.fromhex(record.sealed_key or ""))
            if self._keys.delivery.key_hash(key) != order.terms.key_hash:
                raise VerificationError("it asks for another key")
            given = self._keys.delivery.wrap_for_order(key, order.terms.point)
            await self._treasury.submit(
                f"deliver:{order.number}:{hashlib.sha256(order.terms.encoded).hexdigest()[:16]}",
                lambda: self._market.prepare_deliver(order, given.point, given.wrapped),
                Purpose("deliver"),
            )
            self._causes[order.number] = "the delivery was sent, and came into no block in time"
        except InsufficientFundsError as error:
            self._causes[order.number] = error.message
            raise
        except (VerificationError, TransactionRevertedError) as error:
            self._causes[order.number] = error.message
            self._refused_in[order.number] = heads.latest
            log.warning("order %d for %s is not delivered: %s", order.number, record.name, error.message)

    async def _settle(self, orders: Sequence[Order]) -> None:
        """Credit the prices. What an earlier batch still does comes first, so that no order stands in two."""
        if not orders or any(entry.kind == "settle" for entry in self._store.outbox.pending_outbox()):
            return
        batch = orders[:MOST_IN_A_BATCH]
        numbers = [order.number for order in batch]
        order_id = "settle:" + hashlib.sha256(repr(numbers).encode()).hexdigest()[:16]
        try:
            await self._treasury.submit(order_id, lambda: self._market.prepare_settle(batch), Purpose("settle"))
        except TransactionRevertedError as error:  # anyone may settle: the next look knows which are left
            log.warning("orders %s are not settled: %s", numbers, error.message)


def least_seconds_left(window_seconds: int) -> int:
    """How long before its deadline an order is not delivered any more: a late delivery is refused and tells the key."""
    return max(LEAST_SECONDS_LEFT, window_seconds // PART_OF_WINDOW)
