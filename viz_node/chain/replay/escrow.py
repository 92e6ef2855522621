"""Replay of escrowed orders: each ends exactly once, in time, and a dispute with evidence that is checked again."""

from dataclasses import dataclass
from enum import StrEnum

from coincurve import PrivateKey, PublicKey

from viz_node.chain.contract.items import ESCROWED
from viz_node.chain.contract.ledger import EntryKind, LedgerEntry
from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.replay.book import Book, account_of
from viz_node.chain.replay.catalogue import Catalogue
from viz_node.chain.replay.licenses import SPLIT_MASK, TIME_SHIFT, Licenses
from viz_node.chain.replay.splits import Splits
from viz_node.domain.ids import Account
from viz_node.domain.order import Delivery, OrderTerms
from viz_node.domain.pricing import give_back, release, reserve

OFFER_BITS = 64
OFFER_MASK = (1 << OFFER_BITS) - 1


class OrderStatus(StrEnum):
    """Where an order is."""

    OPEN = "open"
    DELIVERED = "delivered"
    SETTLED = "settled"
    REFUNDED = "refunded"
    DISPUTED = "disputed"


@dataclass
class OrderState:
    """An order; `word` is what the contract stores of it, `expiry` that of the license that its delivery gave."""

    number: int
    offer_id: int
    payer: Account
    holder: Account
    price: int
    word: bytes
    terms: OrderTerms | None
    delivery: Delivery | None = None
    ordered_at: int = 0
    delivered_at: int = 0
    status: OrderStatus = OrderStatus.OPEN
    expiry: int = 0

    @property
    def is_running(self) -> bool:
        """Whether its money is still in escrow."""
        return self.status in (OrderStatus.OPEN, OrderStatus.DELIVERED)


class Escrow:
    """All orders of a market, and who may deliver."""

    def __init__(self, book: Book, catalogue: Catalogue, splits: Splits, licenses: Licenses) -> None:
        self._book, self._catalogue, self._splits, self._licenses = book, catalogue, splits, licenses
        self.operators: dict[int, Account] = {}
        self.orders: dict[int, OrderState] = {}
        self.handlers = {
            EntryKind.OPERATOR_SET: self._set_operator,
            EntryKind.ORDERED: self._order,
            EntryKind.DELIVERED: self._deliver,
            EntryKind.DISPUTED: self._end,
            EntryKind.SETTLED: self._end,
            EntryKind.REFUNDED: self._end,
        }

    @property
    def locked(self) -> int:
        """Units in orders that are not over."""
        return sum(order.price for order in self.orders.values() if order.is_running)

    def _set_operator(self, entry: LedgerEntry) -> None:
        self._book.checked["C11"] += 1
        if self._catalogue.owner_of(entry.key) != entry.who or entry.a >> 160:
            self._book.fail("C11", entry, f"the operator of adapter {entry.key} was not set by its owner")
        self.operators[entry.key] = account_of(entry.a)

    def _order(self, entry: LedgerEntry) -> None:
        self._book.checked["C9"] += 1
        terms, holder = self._book.companions.orders.get(entry.key), account_of(entry.c)
        order = OrderState(entry.key, entry.b, entry.who, holder, entry.a, entry.d, terms)
        if entry.key != len(self.orders) + 1:
            self._book.fail("C9", entry, f"order {entry.key} is placed twice or out of turn")
        self.orders[entry.key] = order
        time, offer = self._book.time_of(entry), self._catalogue.offers.get(entry.b)
        if terms is None or keccak(terms.encoded) != entry.d:
            self._book.fail("C9", entry, f"the published fields of order {entry.key} do not have its hash")
            order.terms = None
        elif (terms.offer_id, terms.payer, terms.holder, terms.price) != (entry.b, entry.who, holder, entry.a):
            self._book.fail("C9", entry, f"the fields of order {entry.key} contradict its entry")
        elif terms.deadline != time + self._book.terms.delivery_window:
            self._book.fail("C9", entry, f"order {entry.key} has another deadline than the delivery window says")
        if offer is None or not offer.flags & ESCROWED:
            self._book.fail("C9", entry, f"offer {entry.b} is not sold through the escrow")
            return
        if self._licenses.expiry.get((entry.b, holder)) or (terms and terms.split_id != offer.split_id):
            self._book.fail("C9", entry, "the holder had the license, or the money is for another split")
        self._catalogue.check_open(entry, offer)
        if terms is not None and terms.key_hash != offer.key_hash:
            self._book.fail("C9", entry, "the order is for another key than the offer's")
        self._licenses.check_price(entry, offer, time)
        if offer.rule is not None:
            offer.reserved = reserve(offer.reserved, max(entry.a - offer.floor, 0), time)
            order.ordered_at = time

    def _release(self, order: OrderState, time: int, is_final: bool) -> None:
        """End what the order has reserved; a final payment counts its licensee, a refund gives back what is left."""
        offer = self._catalogue.offers.get(order.offer_id)
        if offer is None or offer.rule is None:
            return
        left, offer.reserved = release(offer.reserved, max(order.price - offer.floor, 0), order.ordered_at, time)
        if is_final:
            self._licenses.count_licensee(offer, time)
        else:
            offer.price = give_back(offer.price, left, time)

    def _deliver(self, entry: LedgerEntry) -> None:
        self._book.checked["C9"] += 1
        order, delivery = self.orders.get(entry.key), self._book.companions.deliveries.get(entry.key)
        if order is None or order.status != OrderStatus.OPEN:
            self._book.fail("C9", entry, f"no order {entry.key} waits for a delivery")
            return
        time = self._book.time_of(entry)
        if delivery is None or keccak(order.word + delivery.encoded) != entry.d:
            self._book.fail("C9", entry, f"the published delivery of order {entry.key} does not have its hash")
            delivery = None
        elif not delivery.deadline == entry.c == time + self._book.terms.dispute_window:
            self._book.fail("C9", entry, f"order {entry.key} has another deadline than the dispute window says")
        if order.terms is not None and time > order.terms.deadline:
            self._book.fail("C9", entry, f"order {entry.key} was delivered too late")
        if (entry.who, entry.a) != (order.holder, order.offer_id):
            self._book.fail("C9", entry, f"order {entry.key} was delivered to another holder or for another offer")
        order.status, order.delivery, order.word = OrderStatus.DELIVERED, delivery, entry.d
        order.expiry = entry.b
        order.delivered_at = time
        offer = self._catalogue.offers.get(order.offer_id)
        if offer is not None:
            if self._licenses.expiry.get((offer.offer_id, order.holder)):
                self._book.fail("C9", entry, "the holder had the license already")
            self._licenses.grant(entry, offer, (order.holder, entry.b), time)

    def _end(self, entry: LedgerEntry) -> None:
        self._book.checked["C9"] += 1
        order = self.orders.get(entry.key)
        if order is None or not order.is_running:
            self._book.fail("C9", entry, f"order {entry.key} is over, or was never placed")
            return
        if (entry.who, entry.a) != (order.payer, order.price):
            self._book.fail("C9", entry, f"order {entry.key} ended with another payer or price")
        fault = {
            EntryKind.DISPUTED: self._dispute,
            EntryKind.SETTLED: self._settle,
            EntryKind.REFUNDED: self._refund,
        }[EntryKind(entry.kind)](entry, order)
        if fault:
            self._book.fail("C9", entry, f"order {entry.key}: {fault}")
        # Nothing later is judged by these, and they are most of what an order takes in a checkpoint.
        order.word, order.terms, order.delivery = bytes(32), None, None

    def _dispute(self, entry: LedgerEntry, order: OrderState) -> str:
        was_delivered = order.status == OrderStatus.DELIVERED
        order.status = OrderStatus.DISPUTED
        time = self._book.check_time(entry, entry.b >> OFFER_BITS)
        self._release(order, time, is_final=False)
        offer = self._catalogue.offers.get(order.offer_id)
        if not was_delivered or offer is None:
            return "a dispute without a delivery"
        expiry = self._licenses.take_back(offer, order.holder, order.delivered_at, time)
        if (entry.b & OFFER_MASK, entry.c) != (order.offer_id, int(order.holder, 16) | expiry << 160):
            return f"a dispute about another license, or one that does not end at {expiry}"
        if order.terms is None or order.delivery is None:
            return "the evidence cannot be checked without the published fields"
        if time > order.delivery.deadline:
            return "it was disputed too late"
        return "" if is_wrong_key(order.terms, order.delivery, entry.d) else "the evidence does not show a wrong key"

    def _settle(self, entry: LedgerEntry, order: OrderState) -> str:
        was_delivered = order.status == OrderStatus.DELIVERED
        order.status = OrderStatus.SETTLED
        split_id = entry.b & SPLIT_MASK
        time = self._book.check_time(entry, entry.b >> TIME_SHIFT)
        self._splits.credit(entry, split_id, entry.a)
        offer = self._catalogue.offers.get(order.offer_id)
        self._release(order, time, is_final=True)
        if not was_delivered or offer is None or (split_id, entry.c) != (offer.split_id, order.offer_id):
            return "it was settled without a delivery, or to another split"
        is_early = order.delivery is not None and time <= order.delivery.deadline
        return "it was settled within the dispute window" if is_early else ""

    def _refund(self, entry: LedgerEntry, order: OrderState) -> str:
        was_open = order.status == OrderStatus.OPEN
        order.status = OrderStatus.REFUNDED
        time = self._book.check_time(entry, entry.b >> OFFER_BITS)
        self._release(order, time, is_final=False)
        if not was_open or entry.b & OFFER_MASK != order.offer_id:
            return "it was refunded after a delivery, or for another offer"
        is_early = order.terms is not None and time <= order.terms.deadline
        return "it was refunded before the deadline of the delivery" if is_early else ""


def is_wrong_key(terms: OrderTerms, delivery: Delivery, secret: bytes) -> bool:
    """Whether the buyer's secret b shows that the delivered key does not have the hash that was ordered.

    B = bG is the buyer's point, S = bR opens `wrapped`: all of it follows from b and what was published.
    """
    try:
        if PrivateKey(secret).public_key.format(compressed=False)[1:] != terms.point:
            return False
        shared = PublicKey(b"\x04" + delivery.point).multiply(secret).format(compressed=False)[1:]
    except ValueError:
        return False
    mask = keccak(shared)
    key = bytes(a ^ b for a, b in zip(delivery.wrapped, mask, strict=True))
    return keccak(key) != terms.key_hash
