"""The division of a subscription's money: exact, the same everywhere, and no gift to bots."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.domain.distribution import Allocation, PeriodIncome, PoolRule, accumulate, apportion, distribute
from viz_node.domain.ids import BasisPoints, TokenAmount
from viz_node.errors import UsageError

USES = st.lists(st.dictionaries(st.integers(1, 6), st.integers(1, 10**9), max_size=4), max_size=12)
INCOMES = st.builds(PeriodIncome, st.integers(1, 10**9), st.integers(0, 10_000), USES)
FAIR_RULES = [PoolRule.USER_CENTRIC, PoolRule.SCALED_USER_PROP]


def income(uses: list[dict[int, int]], fee: int = 1_000_000, share: int = 7_000) -> PeriodIncome:
    return PeriodIncome(TokenAmount(fee), BasisPoints(share), uses)


@given(INCOMES, st.sampled_from(PoolRule))
def test_distribute__any_period__adds_up_exactly(period: PeriodIncome, rule: PoolRule) -> None:
    allocation = distribute(period, rule)
    assert sum(allocation.by_split.values()) + allocation.reserve == period.total
    assert allocation.reserve >= 0
    assert all(amount >= 0 for amount in allocation.by_split.values())
    assert set(allocation.by_split) <= {split for uses in period.uses for split in uses}


@given(INCOMES, st.randoms(), st.sampled_from(PoolRule))
def test_distribute__uses_listed_in_another_order__same_answer(
    period: PeriodIncome, chance: random.Random, rule: PoolRule
) -> None:
    turned = [dict(chance.sample(list(uses.items()), len(uses))) for uses in period.uses]
    assert distribute(PeriodIncome(period.fee, period.adapters_share, turned), rule) == distribute(period, rule)


@given(INCOMES)
def test_distribute__scaled_with_enough_active__directs_the_whole_share(period: PeriodIncome) -> None:
    active = sum(1 for uses in period.uses if uses)
    paid = sum(distribute(period, PoolRule.SCALED_USER_PROP).by_split.values())
    assert paid == min(period.for_adapters, active * period.fee)


@given(INCOMES, USES, st.sampled_from(FAIR_RULES))
def test_distribute__accounts_of_an_attacker__never_return_more_than_their_fees(
    honest: PeriodIncome, bots: list[dict[int, int]], rule: PoolRule
) -> None:
    attacked = PeriodIncome(honest.fee, honest.adapters_share, [*honest.uses, *bots])
    for split in range(1, 7):
        before = distribute(honest, rule).by_split.get(split, 0)
        after = distribute(attacked, rule).by_split.get(split, 0)
        # Rounding moves at most one unit per subscriber.
        assert after - before <= len(bots) * honest.fee + len(attacked.uses)


def test_distribute__scaled__caps_the_heavy_and_scales_the_light() -> None:
    # Together 4 * 100 * 0.7 = 280: the heavy one directs its fee, the others 180 in proportion 1 : 2 : 3.
    period = income([{1: 1}, {2: 2}, {3: 3}, {4: 100}], fee=100)
    assert distribute(period, PoolRule.SCALED_USER_PROP) == Allocation({1: 30, 2: 60, 3: 90, 4: 100}, 120)


def test_distribute__scaled_with_too_many_idle__whole_fees_and_no_more() -> None:
    period = income([{1: 5}, {2: 1}, {}, {}], fee=100)
    assert distribute(period, PoolRule.SCALED_USER_PROP) == Allocation({1: 100, 2: 100}, 200)


def test_distribute__user_centric__each_fee_follows_its_own_use() -> None:
    period = income([{1: 1, 2: 1}, {2: 1_000}, {}], fee=100)
    assert distribute(period) == Allocation({1: 35, 2: 105}, 160)


def test_distribute__pro_rata__follows_the_heaviest() -> None:
    period = income([{1: 1, 2: 1}, {2: 1_000}, {}], fee=100)
    assert distribute(period, PoolRule.PRO_RATA).by_split == {1: 0, 2: 210}


@pytest.mark.parametrize(("bots", "uses"), [(1, 1_000), (10, 1_000), (100, 1_000), (1, 100_000)])
def test_distribute__bots_on_their_own_item__pay_only_under_pro_rata(bots: int, uses: int) -> None:
    chance = random.Random(7)
    honest = [
        {1 + chance.randrange(20): 1 + chance.randrange(60) for _ in range(1 + chance.randrange(4))}
        for _ in range(1_000)
    ]
    period = income([*honest, *[{99: uses}] * bots])

    def profit(rule: PoolRule) -> float:
        return (distribute(period, rule).by_split[99] - bots * period.fee) / period.fee

    assert profit(PoolRule.PRO_RATA) > 5
    assert profit(PoolRule.USER_CENTRIC) == pytest.approx(-0.3 * bots)
    assert profit(PoolRule.SCALED_USER_PROP) == 0


@given(st.integers(0, 10**12), st.dictionaries(st.integers(0, 50), st.integers(1, 10**6), min_size=1))
def test_apportion__any_weights__exact_and_within_one_unit(amount: int, weights: dict[int, int]) -> None:
    parts = apportion(amount, weights)
    assert sum(parts.values()) == amount
    for key, part in parts.items():
        assert abs(part * sum(weights.values()) - amount * weights[key]) < sum(weights.values())


def test_apportion__equal_remainders__lowest_key_first_in_any_order() -> None:
    assert apportion(1, {2: 1, 1: 1}) == {1: 1, 2: 0}
    assert apportion(2, {3: 5, 2: 5, 1: 5}) == {1: 1, 2: 1, 3: 0}


def test_accumulate__two_periods__totals_only_grow() -> None:
    first = accumulate({}, Allocation({2: TokenAmount(5), 3: TokenAmount(0)}, TokenAmount(7)), 9)
    assert first == {2: 5, 9: 7}
    assert accumulate(first, Allocation({1: TokenAmount(4), 9: TokenAmount(1)}, TokenAmount(2)), 9) == {
        1: 4,
        2: 5,
        9: 10,
    }


@pytest.mark.parametrize(("fee", "share", "uses"), [(0, 1, [{}]), (1, -1, [{}]), (1, 10_001, [{}]), (1, 1, [{1: 0}])])
def test_period_income__impossible_numbers__refused(fee: int, share: int, uses: list[dict[int, int]]) -> None:
    with pytest.raises(UsageError):
        income(uses, fee, share)
