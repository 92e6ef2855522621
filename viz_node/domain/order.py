"""A purchase in escrow: what was ordered, what was delivered, and where it stands."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from viz_node.domain.ids import Account


class OrderState(StrEnum):
    """Where an order stands."""

    ORDERED = "ordered"
    DELIVERED = "delivered"
    DISPUTED = "disputed"
    SETTLED = "settled"
    REFUNDED = "refunded"


@dataclass(frozen=True, slots=True)
class OrderTerms:
    """What a buyer ordered; `point` is x || y of the buyer's point, `encoded` what the contract hashes."""

    offer_id: int
    split_id: int
    deadline: int
    payer: Account
    holder: Account
    price: int
    key_hash: bytes
    order_ref: bytes
    point: bytes
    encoded: bytes


@dataclass(frozen=True)
class WrappedKey:
    """What the seller publishes: the point R and the wrapped key."""

    point: bytes
    wrapped: bytes


@dataclass(frozen=True)
class WrongKeyProof:
    """What the buyer shows the contract: the order's secret b and the shared point S = bR."""

    secret: bytes
    shared: bytes


@dataclass(frozen=True, slots=True)
class Delivery:
    """What a seller delivered; `encoded` is what the contract hashes."""

    point: bytes
    wrapped: bytes
    deadline: int
    encoded: bytes

    @property
    def key(self) -> WrappedKey:
        """The key in it."""
        return WrappedKey(self.point, self.wrapped)


@dataclass(frozen=True)
class Order:
    """One order as the contract knows it, and the block of its payment; `delivery` is None until there is one."""

    number: int
    state: OrderState
    terms: OrderTerms
    delivery: Delivery | None
    block: int = 0

    @property
    def disputable_until(self) -> int | None:
        """Until when a delivered order can be disputed, and from when on it can be settled; None in other states."""
        return self.delivery.deadline if self.delivery and self.state is OrderState.DELIVERED else None

    def may_be_settled(self, now: int) -> bool:
        """Whether nobody can dispute it any more, and its money still waits."""
        return self.disputable_until is not None and now > self.disputable_until


def is_awaited(orders: Iterable[Order], key_hash: str) -> bool:
    """Whether one of these orders is for the key with this hash, and is paid and not delivered."""
    return any(order.state is OrderState.ORDERED and order.terms.key_hash.hex() == key_hash for order in orders)
