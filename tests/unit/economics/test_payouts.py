import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from viz_node.economics.fraud import IDLE_RULES, with_bots
from viz_node.economics.payouts import (
    POOL_RULES,
    find_gamma,
    pro_rata,
    scaled_user_prop,
    user_centric,
    user_centric_shared_idle,
)

totals = st.lists(st.floats(0.01, 1e6), min_size=2, max_size=40)
populations = st.lists(st.lists(st.sampled_from([0.0, 0.0, 1.0, 7.0, 400.0]), min_size=3, max_size=3), min_size=1)
shares = st.floats(0.05, 0.95)


@given(totals, shares)
def test_find_gamma__any_active_users__pays_exactly_the_pool(values: list[float], share: float) -> None:
    ordered = np.array(values)
    pool = share * len(values)

    assert np.minimum(find_gamma(ordered, pool) * ordered, 1).sum() == pytest.approx(pool)


@pytest.mark.parametrize("rule", IDLE_RULES.values(), ids=IDLE_RULES)
@given(uses=populations, share=shares)
def test_rule__any_population__never_pays_more_than_the_pool(rule, uses, share: float) -> None:
    payouts = rule(np.array(uses), share)

    assert payouts.sum() <= share * len(uses) + 1e-9
    assert (payouts >= 0).all()


@pytest.mark.parametrize("rule", [user_centric, scaled_user_prop])
@settings(max_examples=200)
@given(uses=populations, share=shares, bots=st.integers(1, 20), uses_each=st.floats(0.001, 1e7))
def test_rule__any_bots_in_any_population__earn_no_more_than_their_fees(rule, uses, share, bots, uses_each) -> None:
    payouts = rule(with_bots(np.array(uses), bots, uses_each), share)

    assert payouts[-1] <= bots + 1e-9


@pytest.mark.parametrize("rule", POOL_RULES.values(), ids=POOL_RULES)
@given(uses=populations, cut=st.floats(0, 1))
def test_rule__seller_under_two_names__earns_the_same(rule, uses, cut: float) -> None:
    one = np.array(uses)
    two = np.column_stack([one, cut * one[:, -1]])
    two[:, -2] *= 1 - cut

    assert rule(two, 0.7)[-2:].sum() == pytest.approx(rule(one, 0.7)[-1])


def test_rules__known_case__divide_by_their_definition() -> None:
    uses = np.array([[9.0, 0.0], [0.0, 1.0]])

    assert pro_rata(uses, 0.5) == pytest.approx([0.9, 0.1])
    assert user_centric(uses, 0.5) == pytest.approx([0.5, 0.5])
    assert scaled_user_prop(uses, 0.5) == pytest.approx([0.9, 0.1])
    assert scaled_user_prop(uses, 0.8) == pytest.approx([1.0, 0.6])


def test_scaled_user_prop__fewer_active_than_the_pool__counts_each_as_one_and_keeps_the_rest() -> None:
    uses = np.array([[3.0], [5.0], [0.0], [0.0]])

    assert scaled_user_prop(uses, 0.7) == pytest.approx([2.0])


def test_user_centric_shared_idle__more_idle_than_the_platform_takes__pays_bots() -> None:
    uses = with_bots(np.array([[1.0]] * 60 + [[0.0]] * 40), 10, 1_000)

    assert user_centric_shared_idle(uses, 0.7)[-1] > 10 > user_centric(uses, 0.7)[-1]
