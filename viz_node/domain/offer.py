"""How a license is offered: price and how it moves, duration, and the way it is sold; and what came of the offer."""

from dataclasses import dataclass

from viz_node.domain.ids import WHOLE, Account, BasisPoints, TokenAmount
from viz_node.domain.limits import TARGET
from viz_node.errors import UsageError

MAX_PRICE = TokenAmount(2**63 - 1)
MAX_RISE = 65_535
MAX_DURATION_SECONDS = 2**32 - 1


@dataclass(frozen=True)
class OfferTerms:
    """What an owner offers; `price` is the lowest one if it moves, and that of one use if it is metered.

    `duration_seconds` 0 = perpetual. The price rises by at most `max_rise` basis points of itself, while more than
    `target` new licensees come per day; both are 0 for a fixed price. Raises: UsageError for terms that the market
    refuses.
    """

    price: TokenAmount
    duration_seconds: int = 0
    is_metered: bool = False
    is_escrowed: bool = False
    max_rise: int = 0
    target: int = 0

    def __post_init__(self) -> None:
        if not 1 <= self.price <= MAX_PRICE:
            raise UsageError("the price is out of range", "--price 5.00")
        if not 0 <= self.duration_seconds <= MAX_DURATION_SECONDS:
            raise UsageError("the duration is out of range", "--days 30")
        if self.is_metered and (self.duration_seconds or self.is_escrowed or self.max_rise):
            raise UsageError("a metered offer has a fixed price, no duration and no escrow", "leave the others out")
        if not 0 <= self.max_rise <= MAX_RISE:
            raise UsageError("the ceiling is out of range", TARGET.hint)
        if self.target:
            TARGET.check(self.target)
        if (self.max_rise == 0) != (self.target == 0):
            raise UsageError("a moving price needs a ceiling and a target", TARGET.hint)

    @property
    def ceiling(self) -> TokenAmount:
        """The highest price that the rule can ask."""
        return TokenAmount(self.price + self.price * self.max_rise // WHOLE)


@dataclass(frozen=True)
class Offer:
    """A price for an adapter, now and at its lowest; duration 0 = perpetual, or one use if it is metered.

    `shares` is the split's table, checked against its root; an account below 2^32 is the number of another split.
    """

    offer_id: int
    adapter_number: int
    price: TokenAmount
    split_id: int
    duration_seconds: int
    shares: tuple[tuple[Account, BasisPoints], ...]
    floor: TokenAmount
    is_metered: bool = False
    is_escrowed: bool = False
    is_withdrawn: bool = False
    is_suspended: bool = False
    max_rise: int = 0
    target: int = 0

    @property
    def is_open(self) -> bool:
        """Whether it is sold, unless the whole market pauses."""
        return not (self.is_withdrawn or self.is_suspended)

    @property
    def ceiling(self) -> TokenAmount:
        """The highest price that its rule can ask."""
        return TokenAmount(self.floor + self.floor * self.max_rise // WHOLE)


@dataclass(frozen=True)
class Grant:
    """What an account holds or held by one offer, and what was paid for it; `expiry` is 0 after a proven wrong key."""

    offer_id: int
    holder: Account
    expiry: int
    paid: TokenAmount


@dataclass(frozen=True)
class Sold:
    """What an offer sells; `adapter_id` is the digest of the adapter's manifest, in hex."""

    adapter_number: int
    adapter_id: str
    duration_seconds: int


@dataclass(frozen=True)
class Sale:
    """One payment for a license, direct or settled from escrow; `order_ref` is that of a direct one, else zeros."""

    offer_id: int
    adapter_number: int
    split_id: int
    holder: Account
    price: TokenAmount
    expiry: int
    order_ref: bytes
    tx_hash: str
    block: int
