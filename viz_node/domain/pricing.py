"""The moving price of an offer, step by step as the contract computes it.

Theory, and why a seller cannot gain by buying from himself: contracts/src/libraries/Pricing.sol. Both sides take the
steps of contracts/test/vectors/pricing.json. Integers only: a price that differs by one unit is another price.
"""

from dataclasses import dataclass
from typing import NewType

from viz_node.domain.ids import WHOLE, TokenAmount

EPOCH_SECONDS = 86_400
PriceWord = NewType("PriceWord", int)
_SIXTEEN_BITS = 0xFFFF


@dataclass(frozen=True, slots=True)
class PriceRule:
    """What never changes: `max_rise` and `fee` in basis points, `target` in new licensees per day."""

    floor: TokenAmount
    max_rise: int
    target: int
    fee: int

    @property
    def step(self) -> int:
        """What one licensee above the target adds to the credit: at most what his payment lost to the platform."""
        return self.floor * self.fee // WHOLE

    @property
    def max_credit(self) -> int:
        """The credit at which the price stands at its ceiling."""
        return self.floor * self.max_rise // WHOLE * self.target


@dataclass(frozen=True, slots=True)
class PriceState:
    """Day of the latest change since 1970, new licensees of that day, and what may still be asked above the floor."""

    day: int = 0
    sold: int = 0
    credit: int = 0

    @classmethod
    def parse_word(cls, word: int) -> "PriceState":
        """Read the word in which the contract keeps the state."""
        return cls(word & _SIXTEEN_BITS, word >> 16 & _SIXTEEN_BITS, word >> 32)

    @property
    def word(self) -> PriceWord:
        return PriceWord(self.day | self.sold << 16 | self.credit << 32)

    def at(self, time: int) -> "PriceState":
        """The state at a time in seconds since 1970, not before the latest change: the credit halves with each day."""
        day = time // EPOCH_SECONDS
        if day == self.day:
            return self
        return PriceState(day, 0, self.credit >> (day - self.day))


def quote(rule: PriceRule, state: PriceState, time: int) -> TokenAmount:
    """The price of the next licence."""
    return TokenAmount(rule.floor + state.at(time).credit // rule.target)


def take(rule: PriceRule, state: PriceState, time: int) -> tuple[TokenAmount, PriceState]:
    """The price of a sale, and the state after its premium was taken out of the credit."""
    now = state.at(time)
    premium = now.credit // rule.target
    return TokenAmount(rule.floor + premium), PriceState(now.day, now.sold, now.credit - premium)


def count(rule: PriceRule, state: PriceState, time: int) -> PriceState:
    """The state after a first-time licensee whose payment is final."""
    now = state.at(time)
    if now.sold >= 2 * rule.target:
        return now
    sold = now.sold + 1
    credit = now.credit
    if sold > rule.target:
        credit = min(credit + rule.step, rule.max_credit)
    return PriceState(now.day, sold, credit)
