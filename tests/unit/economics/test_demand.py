import numpy as np
import pytest

from viz_node.economics.demand import best_fixed, run_shocks, sell_to, steady_price
from viz_node.economics.prices import Credit, Fixed, NaiveStep, OfferTerms

TERMS = OfferTerms(fee=0.1)


def test_sell_to__fixed_price__only_to_those_who_value_it() -> None:
    outcome = sell_to(Fixed(TERMS), TERMS, [[99.0, 100.0], [150.0]])

    assert outcome.income == pytest.approx(0.9 * 200)
    assert outcome.surplus == pytest.approx(50)
    assert outcome.highest == 100
    assert outcome.volatility() == 0


def test_best_fixed__any_buyers__beats_every_other_fixed_price() -> None:
    crowd = [list(np.random.default_rng(3).lognormal(5, 0.4, 60))]
    best = best_fixed(TERMS, crowd).income

    assert all(best >= sell_to(Fixed(TERMS, price), TERMS, crowd).income for price in np.linspace(100, 400, 50))


def test_volatility__moving_price__above_zero() -> None:
    assert sell_to(NaiveStep(TERMS), TERMS, [[500.0] * 10] * 3 + [[]] * 3).volatility() > 5


def test_run_shocks__two_populations__credit_hardly_moves_and_naive_does() -> None:
    figures = run_shocks(1, 2, lambda: None).figures

    assert figures["fixed"]["income"].mean == pytest.approx(100)
    assert figures["credit"]["highest price paid"].high <= 110
    assert figures["naive 1559"]["highest price paid"].low > 180


def test_steady_price__credit_rule__highest_between_one_and_two_times_the_target_and_never_above_the_fee() -> None:
    prices = {demand: steady_price(Credit(TERMS), demand) for demand in (1.0, 2.0, 5.0)}

    assert prices[1.0] == 100 < prices[5.0] < prices[2.0] <= 110


def test_steady_price__naive_rule__runs_to_the_ceiling() -> None:
    assert steady_price(NaiveStep(TERMS), 2.0) == 1_000
