"""The moving price: the contract's own vectors, its bounds, and that pumping it does not pay."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.domain.ids import TokenAmount
from viz_node.domain.pricing import PriceRule, PriceState, count, quote, take

VECTORS = json.loads((Path(__file__).parents[3] / "contracts" / "test" / "vectors" / "pricing.json").read_text())
RULES = st.builds(
    PriceRule,
    floor=st.integers(1, 10**9).map(TokenAmount),
    max_rise=st.integers(1, 20_000),
    target=st.integers(1, 40),
    fee=st.integers(0, 1_000),
)
SALES = st.lists(st.tuples(st.integers(0, 2 * 86_400), st.booleans(), st.booleans()), max_size=120)


@pytest.mark.parametrize("case", VECTORS["cases"])
def test_pricing__vectors__every_step(case: dict[str, list[int] | int]) -> None:
    numbers = {key: value for key, value in case.items() if isinstance(value, int)}
    rule = PriceRule(TokenAmount(numbers["floor"]), numbers["maxRise"], numbers["target"], numbers["fee"])
    state = PriceState()
    times, isnew, prices, words = (case[key] for key in ("time", "isNew", "price", "state"))
    assert isinstance(times, list) and isinstance(isnew, list) and isinstance(prices, list) and isinstance(words, list)
    for time, new, price, word in zip(times, isnew, prices, words, strict=True):
        assert quote(rule, state, time) == price
        asked, state = take(rule, state, time)
        state = count(rule, state, time) if new else state
        assert (asked, state.word) == (price, int(word))
        assert PriceState.parse_word(state.word) == state


@given(RULES, SALES)
def test_pricing__any_sales__between_floor_and_ceiling(rule: PriceRule, sales: list[tuple[int, bool, bool]]) -> None:
    state, time = PriceState(), 0
    for pause, is_new, _ in sales:
        time += pause
        price, state = take(rule, state, time)
        state = count(rule, state, time) if is_new else state
        assert rule.floor <= price <= rule.floor + rule.floor * rule.max_rise // 10_000
        assert state.word < 1 << 88


def _honest_payments(rule: PriceRule, sales: list[tuple[int, bool, bool]], *, with_attack: bool) -> tuple[int, int]:
    """What honest buyers pay, and what the attacker's own purchases lose to the platform."""
    state, time, paid, lost = PriceState(), 0, 0, 0
    for pause, is_new, is_attack in sales:
        time += pause
        if is_attack and not with_attack:
            continue
        price, state = take(rule, state, time)
        state = count(rule, state, time) if is_new else state
        if is_attack:
            lost += price * rule.fee // 10_000
        else:
            paid += price
    return paid, lost


@given(RULES, SALES)
def test_pricing__seller_buys_from_himself__costs_at_least_what_it_earns(
    rule: PriceRule, sales: list[tuple[int, bool, bool]]
) -> None:
    with_attack, lost = _honest_payments(rule, sales, with_attack=True)
    without, _ = _honest_payments(rule, sales, with_attack=False)
    assert with_attack - without <= lost
