"""When held-out texts are looked at, and what is concluded from them."""

import pytest

from viz_node.domain.report import CurvePoint
from viz_node.models.held_out import best_point, evaluation_interval, has_stalled


def curve_of(*losses: float | None) -> list[CurvePoint]:
    return [CurvePoint(10 * i, None if i == 0 else 1.0, loss) for i, loss in enumerate(losses)]


@pytest.mark.parametrize("held_out", [0, 1000, 50_000])
@pytest.mark.parametrize("steps", [1, 7, 400])
def test_evaluation_interval__looks_at_no_more_than_half_of_what_is_trained_on(steps: int, held_out: int) -> None:
    interval = evaluation_interval(steps, 500.0, held_out, 20)
    assert 1 <= interval <= steps
    assert steps / interval <= 20
    assert held_out <= 0.5 * 500 * interval or interval == steps


def test_best_point__equal_losses__the_earlier_and_never_the_untrained_one() -> None:
    best = best_point(curve_of(1.0, 3.0, 2.0, 2.0))
    assert best is not None
    assert best.step == 20
    assert best_point(curve_of(1.0)) is None
    assert best_point(curve_of(None, None)) is None


def test_has_stalled__patience__counts_the_looks_since_the_best() -> None:
    losses = (3.0, 2.0, 2.1, 2.2, 2.05)
    stalled = [has_stalled(curve_of(*losses[:count]), 2) for count in range(1, 6)]
    assert stalled == [False, False, False, True, True]
    assert not has_stalled(curve_of(*losses), 0)
    assert not has_stalled([*curve_of(3.0, 2.0), CurvePoint(11, 1.0), CurvePoint(12, 1.0)], 2)
    assert not has_stalled(curve_of(None, None, None, None), 1)
