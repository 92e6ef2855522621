"""The moving price: the contract's own vectors, its bounds, and that pumping it does not pay."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.domain.ids import TokenAmount
from viz_node.domain.pricing import PriceRule, PriceState, count, give_back, quote, release, reserve, take

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


@pytest.mark.parametrize("case", VECTORS["orderCases"])
def test_pricing__vectors_of_orders__every_step(case: dict[str, Any]) -> None:
    """Orders (0), settlements (1) and refunds (2) of one offer; `which` counts the orders from 0."""
    rule = PriceRule(TokenAmount(case["floor"]), case["maxRise"], case["target"], case["fee"])
    state, reserved, orders = PriceState(), PriceState(), []
    rows = zip(*(case[key] for key in ("time", "act", "which", "state", "reserved")), strict=True)
    for time, act, which, word, held in rows:
        if act == 0:
            price, state = take(rule, state, time)
            orders.append((price - rule.floor, time))
            reserved = reserve(reserved, price - rule.floor, time)
        else:
            left, reserved = release(reserved, *orders[which], time)
            counted = count(rule, state, time, reserved.credit)
            state = counted if act == 1 else give_back(state, left, time)
        assert (state.word, reserved.word) == (word, held)
        assert state.credit + reserved.credit <= rule.max_credit


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


ORDERS = st.lists(
    st.tuples(
        st.integers(0, 86_400), st.sampled_from(["order", "settle", "refund"]), st.integers(0, 99), st.booleans()
    ),
    max_size=120,
)


def _honest_orders(
    rule: PriceRule, steps: list[tuple[int, str, int, bool]], *, with_attack: bool
) -> tuple[int, int, PriceState]:
    """What honest orders paid that were settled, what the attacker's lost to the platform, and the state at the end."""
    state, reserved, time, paid, lost = PriceState(), PriceState(), 0, 0, 0
    running: list[tuple[int, int, bool] | None] = []
    for pause, act, pick, is_attack in steps:
        time += pause
        if act == "order":
            running.append(None)
            if with_attack or not is_attack:
                price, state = take(rule, state, time)
                reserved = reserve(reserved, price - rule.floor, time)
                running[-1] = price, time, is_attack
            continue
        if not running or (order := running[pick % len(running)]) is None:
            continue
        price, since, is_own = order
        running[pick % len(running)] = None
        left, reserved = release(reserved, price - rule.floor, since, time)
        if act == "refund":
            state = give_back(state, left, time)
        else:
            state = count(rule, state, time, reserved.credit)
            lost += price * rule.fee // 10_000 if is_own else 0
            paid += 0 if is_own else price
    return paid, lost, state


@given(RULES, ORDERS)
def test_pricing__seller_orders_from_himself__costs_at_least_what_it_earns(
    rule: PriceRule, steps: list[tuple[int, str, int, bool]]
) -> None:
    with_attack, lost, _ = _honest_orders(rule, steps, with_attack=True)
    without, _, _ = _honest_orders(rule, steps, with_attack=False)
    assert with_attack - without <= lost


@given(RULES, st.integers(0, 20))
def test_pricing__refunded_order__leaves_what_time_alone_would_have(rule: PriceRule, days: int) -> None:
    before = PriceState(0, 0, rule.max_credit)
    price, after = take(rule, before, 0)
    left, reserved = release(reserve(PriceState(), price - rule.floor, 0), price - rule.floor, 0, days * 86_400)
    refunded = give_back(after, left, days * 86_400)
    assert before.at(days * 86_400).credit - 1 <= refunded.credit <= before.at(days * 86_400).credit
    assert reserved.credit == 0
