"""How a license is offered: price and how it moves, duration, and the way it is sold."""

from dataclasses import dataclass

from viz_node.domain.ids import WHOLE, TokenAmount
from viz_node.errors import UsageError

MAX_PRICE = TokenAmount(2**63 - 1)
MAX_TARGET = 32_767
MAX_RISE = 65_535
MAX_DURATION_SECONDS = 2**32 - 1


@dataclass(frozen=True)
class OfferTerms:
    """What an owner offers; `price` is the lowest one if it moves, and that of one use if it is metered.

    `duration_seconds` 0 = for ever. The price rises by at most `max_rise` basis points of itself, while more than
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
        if not (0 <= self.max_rise <= MAX_RISE and 0 <= self.target <= MAX_TARGET):
            raise UsageError("the ceiling or the target is out of range", "--ceiling 5.50 --target 20")
        if (self.max_rise == 0) != (self.target == 0):
            raise UsageError("a moving price needs a ceiling and a target", "--ceiling 5.50 --target 20")

    @property
    def ceiling(self) -> TokenAmount:
        """The highest price that the rule can ask."""
        return TokenAmount(self.price + self.price * self.max_rise // WHOLE)
