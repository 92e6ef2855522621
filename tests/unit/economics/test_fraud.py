import pytest

from viz_node.economics.fraud import run_fraud


@pytest.fixture(scope="module")
def fraud():
    return run_fraud(seed=1, repeats=50, advance=lambda: None)


@pytest.mark.parametrize(
    ("attack", "expected"),
    [((1, 1_000), 20.7), ((10, 1_000), 161), ((100, 1_000), 486), ((1, 100_000), 533)],
)
def test_run_fraud__pro_rata__pays_bots_as_published(fraud, attack: tuple[int, int], expected: float) -> None:
    profit = fraud.profit[attack]["pro-rata"]

    assert profit.mean == pytest.approx(expected, rel=0.03)
    assert profit.low <= expected <= profit.high


@pytest.mark.parametrize("attack", [(1, 1_000), (10, 1_000), (100, 1_000), (1, 100_000)])
def test_run_fraud__user_rules__bots_lose_the_platform_share_or_nothing(fraud, attack: tuple[int, int]) -> None:
    assert fraud.profit[attack]["user-centric"].mean == pytest.approx(-0.3 * attack[0])
    assert fraud.profit[attack]["ScaledUserProp"].mean == pytest.approx(0, abs=1e-9)


def test_run_fraud__idle_payers__only_shared_out_fees_pay_bots(fraud) -> None:
    few, many = fraud.profit_per_bot_if_idle[0.2], fraud.profit_per_bot_if_idle[0.35]

    assert few["user-centric, idle fees shared out"].mean < 0 < many["user-centric, idle fees shared out"].mean
    assert many["user-centric, idle fees held back"].mean == pytest.approx(-0.3)
    assert many["ScaledUserProp with fallback"].mean == pytest.approx(0, abs=1e-9)


def test_run_fraud__same_seed__same_figures() -> None:
    first, second, other = (run_fraud(seed, 2, lambda: None).tables() for seed in (7, 7, 8))

    assert first == second != other
