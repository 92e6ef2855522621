import numpy as np
import pytest

from viz_node.economics.market import run_market, sell_catalogue, sell_licenses, with_lineage, without_copies
from viz_node.economics.payouts import POOL_RULES, pro_rata, scaled_user_prop, user_centric
from viz_node.economics.population import ORIGINALS, USERS, make_market
from viz_node.economics.prices import Credit, Fixed

RECEIVERS = ("holders %", "developers %", "copycats %", "bots, net %", "platform %", "held back for idle users %")


@pytest.fixture(scope="module")
def market():
    return make_market(np.random.default_rng(5))


@pytest.fixture(scope="module")
def arrivals():
    return np.random.default_rng(6).integers(0, 12, USERS)


def test_sell_licenses__fixed_price__platform_and_sellers_share_what_users_paid(market, arrivals) -> None:
    sales = sell_licenses(market, arrivals, Fixed)
    figures = sales.figures(market)

    assert sales.bots == pytest.approx(-30)
    assert sum(figures[key] for key in RECEIVERS) == pytest.approx(100)
    assert sales.by_adapter.sum() == pytest.approx(0.9 * figures["paid by honest users"])
    assert sales.surplus > 0


@pytest.mark.parametrize("rule", POOL_RULES.values(), ids=POOL_RULES)
def test_sell_catalogue__each_rule__every_fee_has_one_receiver(market, rule) -> None:
    figures = sell_catalogue(market, rule).figures(market)

    assert sum(figures[key] for key in RECEIVERS) == pytest.approx(100)
    subscribers = figures["paid by honest users"] / 20
    assert subscribers == pytest.approx(round(subscribers))
    assert 0 < subscribers <= USERS


def test_sell_catalogue__bots__paid_by_pro_rata_only(market) -> None:
    assert sell_catalogue(market, pro_rata).bots > 100
    assert sell_catalogue(market, user_centric).bots == pytest.approx(-0.1 * 30 * 20)
    assert sell_catalogue(market, scaled_user_prop).bots <= 1e-6


def test_with_lineage__derived_adapters__pay_their_parents_and_nothing_is_lost() -> None:
    shared = with_lineage(np.array([10.0, 0.0, 100.0, 50.0]), np.array([-1, -1, 0, 0]), 0.2)

    assert shared == pytest.approx([40.0, 0.0, 80.0, 40.0])


def test_without_copies__licenses__copies_sell_nothing(market, arrivals) -> None:
    assert sell_licenses(market, arrivals, Credit).by_adapter[ORIGINALS:].sum() > 0
    assert sell_licenses(without_copies(market), arrivals, Credit).by_adapter[ORIGINALS:].sum() == 0


def test_wanted__user_who_knows_the_original__does_not_want_its_copy(market) -> None:
    wanted = market.wanted()
    knows = market.is_known[:, market.original[ORIGINALS]]

    assert (wanted[knows, ORIGINALS] == 0).all()
    assert wanted[:, ORIGINALS].any()


def test_run_market__two_seeds__same_tables_for_the_same_seed() -> None:
    assert run_market(3, 2, lambda: None).tables() == run_market(3, 2, lambda: None).tables()
