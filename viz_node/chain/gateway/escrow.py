"""Orders of fair delivery: paid into the market, and out of it once the key is delivered or the time is over.

The contract keeps one word per order, the hash of all that was published about it. Orders are read from the log and
believed only if they hash to that word, so an endpoint cannot alter the buyer's point or the delivered key.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

from viz_node.chain.companions import Delivery, OrderTerms, delivery_of, order_of
from viz_node.chain.gateway.reader import NOBODY, MarketReader
from viz_node.chain.hashing import keccak
from viz_node.chain.ledger import EntryKind
from viz_node.chain.transactions import Call
from viz_node.domain.ids import Account, format_amount
from viz_node.domain.purchase import NewOrder
from viz_node.errors import NotFoundError, VerificationError

POINT_BYTES = 64


class OrderState(StrEnum):
    """Where an order stands."""

    ORDERED = "ordered"
    DELIVERED = "delivered"
    DISPUTED = "disputed"
    SETTLED = "settled"
    REFUNDED = "refunded"


_ENDS = {
    EntryKind.DISPUTED: OrderState.DISPUTED,
    EntryKind.SETTLED: OrderState.SETTLED,
    EntryKind.REFUNDED: OrderState.REFUNDED,
}


@dataclass(frozen=True)
class Order:
    """One order as the contract knows it; `delivery` is None until the key is delivered."""

    number: int
    state: OrderState
    terms: OrderTerms
    delivery: Delivery | None


class EscrowGateway(MarketReader):
    """Orders and the calls of both sides."""

    def order(self, number: int) -> Order:
        """One order. Raises: NotFoundError, VerificationError."""
        found = self._orders(number)
        if not found:
            raise NotFoundError(f"the market has no order {number}")
        return found[0]

    def orders_paid_by(self, account: str) -> list[Order]:
        """What the account ordered, oldest first. Raises: VerificationError."""
        return [order for order in self._orders() if order.terms.payer == account]

    def orders_for(self, offer_ids: Sequence[int]) -> list[Order]:
        """Orders of these offers, oldest first. Raises: VerificationError."""
        return [order for order in self._orders() if order.terms.offer_id in offer_ids]

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
        values = order.offer_id, order.holder, order.max_price, order.key_hash, _point(order.point), order.order_ref
        description = f"order offer {order.offer_id} for at most {format_amount(order.max_price)}"
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
        return self._to_market(f"settle {len(rows)} orders", "settleMany", *columns)

    def prepare_refund(self, order: Order) -> Call:
        """Send the money of an order that was not delivered in time back to its payer."""
        return self._to_market(f"refund order {order.number}", "refund", order.number, _terms(order.terms))

    def _orders(self, number: int | None = None) -> list[Order]:
        placed = [order_of(log) for log in self._logs("OrderPlaced", number)]
        deliveries = dict(delivery_of(log) for log in self._logs("KeyDelivered", number))
        words = self._views([("orders", (key,)) for key, _ in placed])
        ends = {entry.key: state for kind, state in _ENDS.items() for entry in self._entries(kind, number)}
        orders = []
        for (key, terms), (word,) in zip(placed, words, strict=True):
            delivery, state = deliveries.get(key), ends.get(key)
            if any(word):
                state = _living_state(key, word, terms, delivery)
            elif state is None:
                raise VerificationError(f"the chain's endpoint hides how order {key} ended", "use another RPC")
            orders.append(Order(key, state, terms, delivery if state is not OrderState.ORDERED else None))
        return orders


def _living_state(number: int, word: bytes, terms: OrderTerms, delivery: Delivery | None) -> OrderState:
    ordered = keccak(terms.encoded)
    if word == ordered:
        return OrderState.ORDERED
    if delivery is not None and word == keccak(ordered + delivery.encoded):
        return OrderState.DELIVERED
    raise VerificationError(
        f"what the chain's endpoint tells of order {number} is not what was paid", "use another RPC"
    )


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
