"""Pictures of curves: well-formed SVG, points where they belong, round ticks, and no way in for a stranger's words."""

import math
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.domain.line_chart import HEIGHT, WIDTH, Line, axis_of, draw_lines, tick_text

SVG = "{http://www.w3.org/2000/svg}"
numbers = st.floats(-1e12, 1e12)


def _places(svg: str) -> list[list[tuple[float, float]]]:
    root = ET.fromstring(svg)
    return [
        [tuple(float(part) for part in pair.split(",")) for pair in curve.attrib["points"].split()]  # type: ignore[misc]
        for curve in root.iter(f"{SVG}polyline")
    ]


def test_falling_curve__drawn__falls_from_left_to_right() -> None:
    (places,) = _places(draw_lines("Loss", "step", "loss", [Line("training", [(0, 4.0), (50, 2.0), (100, 1.0)])]))
    xs, ys = [x for x, _ in places], [y for _, y in places]
    assert xs == sorted(xs)
    assert ys == sorted(ys)  # y grows downward in SVG
    assert (xs[1] - xs[0]) == pytest.approx(xs[2] - xs[1], abs=0.2)
    assert (ys[1] - ys[0]) == pytest.approx(2 * (ys[2] - ys[1]), abs=0.3)


def test_nan_and_infinity__drawn__left_out() -> None:
    (places,) = _places(
        draw_lines("Loss", "step", "loss", [Line("a", [(0, 1.0), (1, math.nan), (2, math.inf), (3, 2)])])
    )
    assert len(places) == 2


@pytest.mark.parametrize("lines", [[], [Line("empty", [])], [Line("nan", [(0, math.nan)])]])
def test_no_point__drawn__says_so(lines: list[Line]) -> None:
    svg = draw_lines("Loss", "step", "loss", lines)
    ET.fromstring(svg)
    assert "nothing to show yet" in svg


def test_strangers_words__drawn__stay_text() -> None:
    words = '"><script>alert(1)</script>&'
    svg = draw_lines(words, words, words, [Line(words, [(0, 1)])])
    root = ET.fromstring(svg)
    assert not list(root.iter(f"{SVG}script"))
    assert root.find(f"{SVG}title").text == words  # type: ignore[union-attr]


@given(st.lists(st.tuples(numbers, numbers), min_size=1, max_size=40))
def test_any_points__drawn__stay_within_the_picture(points: list[tuple[float, float]]) -> None:
    for x, y in [place for curve in _places(draw_lines("t", "x", "y", [Line("a", sorted(points))])) for place in curve]:
        assert 0 <= x <= WIDTH
        assert 0 <= y <= HEIGHT


@pytest.mark.parametrize(
    ("values", "ticks"),
    [
        ([0, 100], (0, 20, 40, 60, 80, 100)),
        ([1.13, 2.9], (1.0, 1.5, 2.0, 2.5, 3.0)),
        ([7, 7], (6.99, 6.995, 7.0, 7.005, 7.01)),
    ],
)
def test_axis__has_few_round_ticks(values: list[float], ticks: tuple[float, ...]) -> None:
    assert axis_of(values).ticks == pytest.approx(ticks)


def test_axis_of_whole_numbers__has_whole_ticks() -> None:
    assert axis_of([1, 3], is_whole=True).ticks == (1, 2, 3)


@given(st.lists(numbers, min_size=1, max_size=20))
def test_axis__covers_all_values(values: list[float]) -> None:
    axis = axis_of(values)
    assert all(-1e-6 <= axis.share(value) <= 1 + 1e-6 for value in values)
    assert len(axis.ticks) <= 9


def test_ticks__read_short() -> None:
    assert [tick_text(value) for value in (0.30000000000000004, 1200, 20_000, 1_500_000)] == [
        "0.3",
        "1200",
        "20k",
        "1500k",
    ]
