"""Orders of fair delivery: paid into the market, and out of it once the key is delivered or the time is over.

The contract keeps one word per order, the hash of all that was published about it. Orders are read from the log and
believed only if they hash to that word, so an endpoint cannot alter the buyer's point or the delivered key.

Which orders run, and in which block each was placed, is an index over ledger entries that reads only the newest blocks;
what an order says is read once, and again when the word is no longer its hash.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

from viz_node.chain.contract.companions import delivery_of, order_of
from viz_node.chain.contract.items import number_of
from viz_node.chain.contract.ledger import ENTRY_TOPIC, EntryKind, entry_of, topic_of
from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.gateway.index import SETTLED_DEPTH, Fold, Topics
from viz_node.chain.gateway.reader import NOBODY, MarketReader
from viz_node.chain.node.logs import Log, read_logs
from viz_node.chain.node.rpc import to_hex, to_int
from viz_node.domain.counting import counted
from viz_node.domain.ids import Account, format_tokens
from viz_node.domain.order import Delivery, Order, OrderState, OrderTerms
from viz_node.domain.purchase import NewOrder
from viz_node.domain.transaction import Call
from viz_node.errors import ChainUnavailableError, NotFoundError, VerificationError

POINT_BYTES = 64


_ENDS = {
    EntryKind.DISPUTED: OrderState.DISPUTED,
    EntryKind.SETTLED: OrderState.SETTLED,
    EntryKind.REFUNDED: OrderState.REFUNDED,
}


_MOST_REMEMBERED = 50_000
# Anvil answers from a block milliseconds before it tells the block's logs, servers behind one name seconds.
_PAUSES_SECONDS = (0.0, 0.05, 0.2, 0.8, 2.0)
_NUMBERS_PER_FILTER = 100


class _Placed(NamedTuple):
    """What the ledger's entries say of an order."""

    offer_id: int
    block: int
    end: OrderState | None = None


def _note(placed: dict[int, _Placed], log: Log) -> None:
    entry = entry_of(log)
    if entry.kind == EntryKind.ORDERED:
        placed[entry.key] = _Placed(entry.b, entry.block_number)
    elif entry.key in placed:
        placed[entry.key] = placed[entry.key]._replace(end=_ENDS[EntryKind(entry.kind)])


def _note_running(placed: dict[int, _Placed], log: Log) -> None:
    entry = entry_of(log)
    if entry.kind == EntryKind.ORDERED:
        placed[entry.key] = _Placed(entry.b, entry.block_number)
    else:
        placed.pop(entry.key, None)


_ALL, _RUNNING = Fold(dict, _note), Fold(dict, _note_running)
_KINDS = tuple(topic_of(kind) for kind in (EntryKind.ORDERED, *_ENDS))


@dataclass
class _Told:
    """What orders and deliveries said when they were read, by the order's number, and the blocks of the deliveries."""

    terms: dict[int, OrderTerms] = field(default_factory=dict)
    deliveries: dict[int, Delivery] = field(default_factory=dict)
    delivered_in: dict[int, int] = field(default_factory=dict)

    def rests(self, number: int, settled: int, now: int) -> bool:
        """Whether the order was delivered for good, and can only be disputed: the ledger will tell if it is."""
        delivered_in = self.delivered_in.get(number, settled + 1)
        return number in self.terms and delivered_in <= settled and now <= self.deliveries[number].deadline

    def forget(self, number: int) -> None:
        """What was told of it is not true."""
        self.terms.pop(number, None)
        self.deliveries.pop(number, None)
        self.delivered_in.pop(number, None)


class EscrowGateway(MarketReader):
    """Orders and the calls of both sides."""

    @cached_property
    def _told_orders(self) -> _Told:
        return _Told()

    def order(self, number: int) -> Order:
        """One order. Raises: NotFoundError, VerificationError."""
        found = self._orders_ever(key=number)
        if not found:
            raise NotFoundError(f"the market has no order {number}")
        return found[0]

    def orders_paid_by(self, account: str) -> list[Order]:
        """What the account ordered, oldest first. Raises: VerificationError."""
        return self._orders_ever(who=account)

    def orders_for(self, offer_ids: Collection[int]) -> list[Order]:
        """The orders of these offers that are not over, oldest first. Raises: VerificationError."""
        wanted = {number: place for number, place in self._placed(_RUNNING).items() if place.offer_id in offer_ids}
        head, told = self._head(), self._told_orders
        settled, now = to_int(head.get("number")) - SETTLED_DEPTH, to_int(head.get("timestamp"))
        resting = {number for number in wanted if told.rests(number, settled, now)}
        orders = self._orders({number: place for number, place in wanted.items() if number not in resting})
        orders += [
            Order(number, OrderState.DELIVERED, told.terms[number], told.deliveries[number], wanted[number].block)
            for number in resting
        ]
        return sorted(orders, key=lambda order: order.number)

    def orders_ever_for(self, offer_ids: Collection[int]) -> list[Order]:
        """All orders of these offers, those that are over too, oldest first. Raises: VerificationError."""
        return self._orders_ever(offer_ids)

    def operator_of(self, adapter_number: int) -> Account | None:
        """Who may deliver keys of the adapter beside its owner."""
        (account,) = self._view("operators", adapter_number)
        return None if account == NOBODY else Account(account)

    def prepare_set_operator(self, adapter_number: int, account: str | None) -> Call:
        """Let an account deliver keys of an adapter of the sender; None takes it back."""
        description = f"let {account or 'nobody else'} deliver keys of adapter {adapter_number}"
        return self._to_market(description, "setOperator", adapter_number, account or NOBODY)

    def prepare_order(self, order: NewOrder) -> Call:
        """Pay for a license that is granted with the key, out of the sender's allowance."""
        values = order.item, order.holder, order.max_price, _point(order.point), order.order_ref
        description = f"order offer {number_of(order.item)} for at most {format_tokens(order.max_price)}"
        return self._to_market(description, "order", *values)

    def prepare_deliver(self, order: Order, point: bytes, wrapped: bytes) -> Call:
        """Deliver the wrapped key; `point` is x || y of R."""
        values = order.number, _terms(order.terms), _point(point), wrapped
        return self._to_market(f"deliver the key of order {order.number}", "deliver", *values)

    def prepare_dispute(self, order: Order, secret: int, shared: bytes) -> Call:
        """Show that the delivered key is wrong: b, and x || y of S = bR. Raises: NotFoundError."""
        values = order.number, _terms(order.terms), _delivery(order), secret, _point(shared)
        return self._to_market(f"dispute the key of order {order.number}", "dispute", *values)

    def prepare_settle(self, orders: Sequence[Order]) -> Call:
        """Credit the prices of delivered orders whose dispute time is over. Raises: NotFoundError."""
        rows = [(order.number, _terms(order.terms), _delivery(order)) for order in orders]
        if len(rows) == 1:
            return self._to_market(f"settle order {rows[0][0]}", "settle", *rows[0])
        columns = [list(column) for column in zip(*rows, strict=True)]
        return self._to_market(f"settle {counted(len(rows), 'order')}", "settleMany", *columns)

    def prepare_refund(self, order: Order) -> Call:
        """Send the money of an order that was not delivered in time back to its payer."""
        return self._to_market(f"refund order {order.number}", "refund", order.number, _terms(order.terms))

    def _placed(self, fold: Fold, key: int | None = None, who: str | None = None) -> dict[int, _Placed]:
        narrow = None if key is None else topic_of(key), None if who is None else topic_of(int(who, 16))
        placed: dict[int, _Placed] = self._follow((to_hex(ENTRY_TOPIC), _KINDS, *narrow), fold)
        return placed

    def _orders_ever(
        self, offer_ids: Collection[int] | None = None, key: int | None = None, who: str | None = None
    ) -> list[Order]:
        """Orders, over or not. One that ends while they are read has no word any more, and no entry of its end yet."""
        for pause in _PAUSES_SECONDS:
            time.sleep(pause)
            found = self._placed(_ALL, key, who).items()
            placed = {number: place for number, place in found if offer_ids is None or place.offer_id in offer_ids}
            orders = self._orders(placed)
            if len(orders) == len(placed):
                return orders
        (number, *_) = placed.keys() - {order.number for order in orders}
        raise ChainUnavailableError(
            f"the chain's endpoint does not tell how order {number} ended", "try again, or use another RPC"
        )

    def _orders(self, placed: Mapping[int, _Placed]) -> list[Order]:
        """What is told of these orders; without those that are over and of whose end there is no entry."""
        answers = self._views([("orders", (number,)) for number in placed])
        words: dict[int, bytes] = {number: word for number, (word,) in zip(placed, answers, strict=True)}
        told = self._read_again(placed, words)
        orders = []
        for number, (_, block, end) in placed.items():
            if number not in told.terms:
                raise VerificationError(f"the chain's endpoint hides what order {number} says", "use another RPC")
            terms, delivery = told.terms[number], told.deliveries.get(number)
            state = end
            if any(words[number]):
                state = _living_state(words[number], terms, delivery)
                if state is None:
                    told.forget(number)
                    text = f"what the chain's endpoint tells of order {number} is not what was paid"
                    raise VerificationError(text, "use another RPC")
            if state is not None:
                shown = delivery if state not in (OrderState.ORDERED, OrderState.REFUNDED) else None
                orders.append(Order(number, state, terms, shown, block))
        return orders

    def _read_again(self, placed: Mapping[int, _Placed], words: Mapping[int, bytes]) -> _Told:
        """Read what is not remembered, or is not what the market's word is the hash of; all that is remembered."""
        if len(self._told_orders.terms) > _MOST_REMEMBERED:
            self._told_orders = _Told()  # another thread may still use the old one
        told = self._told_orders
        terms, deliveries = told.terms, told.deliveries
        unknown = [n for n in placed if n not in terms or _is_other(words[n], terms[n], deliveries.get(n))]
        terms.update(map(order_of, self._events("OrderPlaced", unknown, placed, 0)))
        unknown = [
            number
            for number, (_, _, end) in placed.items()
            if end is not OrderState.REFUNDED
            and number in terms
            and words[number] != keccak(terms[number].encoded)
            and (number not in deliveries or _is_other(words[number], terms[number], deliveries[number]))
        ]
        head = self.block_number() if unknown else 0
        for log in self._events("KeyDelivered", unknown, placed, head):
            number, delivery = delivery_of(log)
            deliveries[number], told.delivered_in[number] = delivery, log.block_number
        return told

    def _events(self, event: str, numbers: Sequence[int], placed: Mapping[int, _Placed], head: int) -> list[Log]:
        """The logs of these orders from the blocks of their payment, at least up to `head`."""
        logs: list[Log] = []
        for start in range(0, len(numbers), _NUMBERS_PER_FILTER):
            part = numbers[start : start + _NUMBERS_PER_FILTER]
            blocks = [placed[number].block for number in part]
            topics = to_hex(self._market.events[event]), tuple(map(topic_of, part))
            logs += self._read_logs(topics, min(blocks), max(*blocks, head))
        return logs

    def _read_logs(self, topics: Topics, first: int, last: int) -> list[Log]:
        market = self.deployment.market
        return list(self._translated(lambda: list(read_logs(self._rpc, market, topics, first, last))))


def _is_other(word: bytes, terms: OrderTerms, delivery: Delivery | None) -> bool:
    ordered = keccak(terms.encoded)
    known = [ordered] if delivery is None else [ordered, keccak(ordered + delivery.encoded)]
    return any(word) and word not in known


def _living_state(word: bytes, terms: OrderTerms, delivery: Delivery | None) -> OrderState | None:
    """Where a running order stands; None if the word is not the hash of what was told."""
    ordered = keccak(terms.encoded)
    if word == ordered:
        return OrderState.ORDERED
    is_delivered = delivery is not None and word == keccak(ordered + delivery.encoded)
    return OrderState.DELIVERED if is_delivered else None


def _point(raw: bytes) -> tuple[int, int]:
    if len(raw) != POINT_BYTES:
        raise VerificationError("a point has 64 bytes")
    return int.from_bytes(raw[:32], "big"), int.from_bytes(raw[32:], "big")


def _terms(terms: OrderTerms) -> tuple[object, ...]:
    fixed = terms.offer_id, terms.split_id, terms.deadline, terms.payer, terms.holder, terms.price
    return *fixed, terms.key_hash, terms.order_ref, _point(terms.point)


def _delivery(order: Order) -> tuple[object, ...]:
    if order.delivery is None:
        raise NotFoundError(f"order {order.number} is not delivered", "wait for the seller")
    return _point(order.delivery.point), order.delivery.wrapped, order.delivery.deadline
