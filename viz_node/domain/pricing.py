"""The moving price of an offer, step by step as the contract computes it.

Theory, and why sellers cannot gain by buying from themselves: contracts/src/libraries/Pricing.sol. Both sides take the
steps of contracts/test/vectors/pricing.json. Integers only: a price that differs by one unit is another price.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import NewType

from viz_node.domain.ids import WHOLE, Account, TokenAmount
from viz_node.errors import UsageError

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
        """The credit that one licensee above the target adds: at most the platform's part of their payment."""
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
    """The price of the next license."""
    return TokenAmount(rule.floor + state.at(time).credit // rule.target)


def take(rule: PriceRule, state: PriceState, time: int) -> tuple[TokenAmount, PriceState]:
    """The price of a sale, and the state after its premium was taken out of the credit."""
    now = state.at(time)
    premium = now.credit // rule.target
    return TokenAmount(rule.floor + premium), PriceState(now.day, now.sold, now.credit - premium)


def reserve(reserved: PriceState, premium: int, time: int) -> PriceState:
    """The premium reserved by orders in escrow, after one more: a state like a price's, in which nothing is sold."""
    now = reserved.at(time)
    return PriceState(now.day, now.sold, now.credit + premium)


def release(reserved: PriceState, premium: int, since: int, time: int) -> tuple[int, PriceState]:
    """The rest of a premium reserved at `since`, after its halvings, and the premium still reserved by others."""
    now = reserved.at(time)
    left = premium >> (now.day - since // EPOCH_SECONDS)
    return left, PriceState(now.day, 0, now.credit - left)


def give_back(state: PriceState, left: int, time: int) -> PriceState:
    """The state after an order was refunded: what is left of its premium goes back into the credit."""
    return reserve(state, left, time)


def count(rule: PriceRule, state: PriceState, time: int, reserved: int = 0) -> PriceState:
    """The state after a first-time licensee whose payment is final; `reserved` is what orders in escrow hold."""
    now = state.at(time)
    if now.sold >= 2 * rule.target:
        return now
    sold = now.sold + 1
    credit = now.credit
    if sold > rule.target:
        credit = min(credit + rule.step, rule.max_credit - reserved)
    return PriceState(now.day, sold, credit)


@dataclass(frozen=True)
class PricedSale:
    """A payment for an offer: what was paid, and what the rule derives from the ledger.

    `order` is 0 and `outcome` is `sold` when it was sold directly; else `outcome` is where the order stands.
    """

    sequence: int
    time: int
    offer_id: int
    holder: Account
    paid: TokenAmount
    derived: TokenAmount
    order: int
    outcome: str
    tx_hash: str


@dataclass(frozen=True)
class PriceStep:
    """The state that an offer's price follows from, from a time on."""

    time: int
    state: PriceState


@dataclass(frozen=True)
class PricePath:
    """How an offer's price has moved since its first step, which created it; `rule` is None for a fixed price."""

    offer_id: int
    floor: TokenAmount
    rule: PriceRule | None
    steps: tuple[PriceStep, ...]

    @property
    def created(self) -> int:
        """When it was offered."""
        return self.steps[0].time

    def at(self, time: int) -> TokenAmount:
        """The price at a time, if nobody bought since the last step before it."""
        position = bisect_right(self.steps, time, key=lambda step: step.time)
        if self.rule is None or position == 0:
            return self.floor
        return quote(self.rule, self.steps[position - 1].state, time)


def price_at(paths: Sequence[PricePath], time: int) -> TokenAmount | None:
    """The price of the newest offer that there was at a time; None before the first."""
    created = [path for path in paths if path.created <= time]
    return created[-1].at(time) if created else None


def parse_time(text: str) -> int:
    """Read `2026-12-31` or `2026-12-31T18:00`, in UTC unless it says otherwise. Raises: UsageError."""
    try:
        moment = datetime.fromisoformat(text)
        seconds = int(moment.replace(tzinfo=moment.tzinfo or UTC).timestamp())
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text!r} is not a time", "write it like 2026-12-31 or 2026-12-31T18:00") from error
    if seconds < 0:
        raise UsageError(f"{text} is before 1970")
    return seconds
