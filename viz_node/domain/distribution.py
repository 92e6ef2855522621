"""How a catalogue subscription's money is divided among adapters for one period; integers only, sums exact.

n subscribers pay the same fee F; a share a of it is for the adapters. w_ij is how often subscriber i used adapter j
(named by its split), and w_i the sum over j.

* user-centric (the default): subscriber i directs aF, in proportion to w_ij. One subscriber's use moves no other's fee.
* ScaledUserProp (Ghosh et al., arXiv 2511.04465): subscriber i directs min(g w_i, F), with g such that all together
  direct anF. A light user directs little. Where fewer than an subscribers used anything, no g exists; then every
  active one directs the whole fee F, which is the limit for g without bound.
* pro-rata: anF in proportion to all uses. It pays owners of bots, and is here for comparison only.

What nobody directs goes to the reserve, never to those who were active: otherwise a paying bot would be worth more than
its fee wherever many subscribers are idle. So under the first two rules a set of accounts never moves more money than
it pays. tests/unit/domain/test_distribution.py holds the rules to that.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from viz_node.domain.ids import WHOLE, BasisPoints, TokenAmount
from viz_node.errors import UsageError

Uses = Mapping[int, int]
"""Uses by split; an empty one is an idle subscriber."""


class PoolRule(StrEnum):
    """The rules, as they are named in configuration and published data."""

    USER_CENTRIC = "user-centric"
    SCALED_USER_PROP = "scaled-user-prop"
    PRO_RATA = "pro-rata"


@dataclass(frozen=True)
class PeriodIncome:
    """The income of one period: one entry of `uses` per subscriber, idle ones included."""

    fee: TokenAmount
    adapters_share: BasisPoints
    uses: Sequence[Uses]

    def __post_init__(self) -> None:
        if self.fee < 1 or not 0 <= self.adapters_share <= WHOLE:
            raise UsageError("a period needs a fee of at least one unit and a share of 0 to 10000 basis points")
        if any(count < 1 for uses in self.uses for count in uses.values()):
            raise UsageError("an adapter that was not used must not be listed")

    @property
    def total(self) -> TokenAmount:
        """Everything that was paid for the period."""
        return TokenAmount(self.fee * len(self.uses))

    @property
    def for_adapters(self) -> TokenAmount:
        """The part that is meant for adapters, rounded down."""
        return TokenAmount(self.total * self.adapters_share // WHOLE)


@dataclass(frozen=True)
class Allocation:
    """Units by split, ascending, and what is left for the reserve; together exactly the period's total."""

    by_split: dict[int, TokenAmount]
    reserve: TokenAmount


def distribute(income: PeriodIncome, rule: PoolRule = PoolRule.USER_CENTRIC) -> Allocation:
    """Divide the period's income by the rule; every node gets the same answer."""
    by_split = _RULES[rule](income)
    reserve = income.total - sum(by_split.values())
    return Allocation(dict(sorted(by_split.items())), TokenAmount(reserve))


def accumulate(earlier: Mapping[int, int], allocation: Allocation, reserve_split: int) -> dict[int, int]:
    """The totals by split, ascending, of a further period, which the root over all of them commits to."""
    totals = dict(earlier)
    for split, amount in [*allocation.by_split.items(), (reserve_split, allocation.reserve)]:
        if amount:
            totals[split] = totals.get(split, 0) + amount
    return dict(sorted(totals.items()))


def apportion(amount: int, weights: Mapping[int, int]) -> dict[int, int]:
    """Divide `amount` in proportion to the weights (at least one, all positive) so that the parts add up to it.

    Units left over by rounding down go to the largest remainders, ties to the lowest key.
    """
    whole = sum(weights.values())
    parts = {key: amount * weight // whole for key, weight in weights.items()}
    left = amount - sum(parts.values())
    for key in sorted(weights, key=lambda key: (-(amount * weights[key] % whole), key))[:left]:
        parts[key] += 1
    return parts


def _user_centric(income: PeriodIncome) -> dict[int, TokenAmount]:
    each = income.fee * income.adapters_share // WHOLE
    return _directed((each, uses) for uses in income.uses)


def _scaled_user_prop(income: PeriodIncome) -> dict[int, TokenAmount]:
    volumes = {i: sum(uses.values()) for i, uses in enumerate(income.uses) if uses}
    parts = _scaled(volumes, income.fee, income.for_adapters)
    return _directed((parts[i], income.uses[i]) for i in volumes)


def _scaled(volumes: Mapping[int, int], fee: int, target: int) -> dict[int, int]:
    """min(g * volume, fee) for each subscriber, adding up to `target`, or the whole fee where no g exists."""
    if len(volumes) * fee <= target:
        return dict.fromkeys(volumes, fee)
    capped: dict[int, int] = {}
    rest = dict(volumes)
    # The heaviest subscriber is capped while its part would be above the fee; what is left is scaled among the others.
    for subscriber in sorted(volumes, key=lambda i: (-volumes[i], i)):
        left = target - fee * len(capped)
        if volumes[subscriber] * left <= fee * sum(rest.values()):
            break
        capped[subscriber] = fee
        del rest[subscriber]
    return capped | apportion(target - fee * len(capped), rest)


def _pro_rata(income: PeriodIncome) -> dict[int, TokenAmount]:
    totals: dict[int, int] = {}
    for uses in income.uses:
        for split, count in uses.items():
            totals[split] = totals.get(split, 0) + count
    return _directed([(income.for_adapters, totals)])


def _directed(parts: Iterable[tuple[int, Uses]]) -> dict[int, TokenAmount]:
    """Each amount divided by its own uses, added up."""
    totals: dict[int, TokenAmount] = {}
    for amount, uses in parts:
        for split, part in (apportion(amount, uses) if uses else {}).items():
            totals[split] = TokenAmount(totals.get(split, 0) + part)
    return totals


_RULES: dict[PoolRule, Callable[[PeriodIncome], dict[int, TokenAmount]]] = {
    PoolRule.USER_CENTRIC: _user_centric,
    PoolRule.SCALED_USER_PROP: _scaled_user_prop,
    PoolRule.PRO_RATA: _pro_rata,
}
