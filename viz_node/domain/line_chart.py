"""Curves as one SVG picture, by text alone: what a page shows and a report file holds.

Colours are attributes, so that a page's own style sheet can change them for dark screens; nothing in it is a script or
a style.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 16, 34, 46
# Okabe and Ito's palette: its colours stay apart for every common kind of colour blindness.
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7")
_TICKS = 5


@dataclass(frozen=True)
class Line:
    """One curve: its name, and its points from left to right."""

    name: str
    points: Sequence[tuple[float, float]]
    has_dots: bool = False


@dataclass(frozen=True)
class Axis:
    """The values from `low` to `high`, and the round ones that are written beside the axis."""

    low: float
    high: float
    ticks: tuple[float, ...]

    def share(self, value: float) -> float:
        """Where on the axis a value lies, from 0 to 1."""
        return (value - self.low) / (self.high - self.low)


def draw_lines(title: str, x_name: str, y_name: str, lines: Sequence[Line]) -> str:
    """The SVG of these curves with axes, grid and names; points that are not finite are left out.

    Without a point it says that there is nothing to show.
    """
    kept = [Line(line.name, _finite(line.points), line.has_dots) for line in lines]
    kept = [line for line in kept if line.points]
    font = 'font-family="DejaVu Sans, Verdana, sans-serif" font-size="11"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" class="curve" role="img" {font}>',
        f"<title>{escape(title)}</title>",
    ]
    if not kept:
        parts += [_text(WIDTH / 2, HEIGHT / 2, "nothing to show yet", "middle"), "</svg>"]
        return "\n".join(parts) + "\n"
    points = [point for line in kept for point in line.points]
    across = axis_of([x for x, _ in points], is_whole=all(float(x).is_integer() for x, _ in points))
    up = axis_of([y for _, y in points])
    parts += _grid(across, up, x_name, y_name)
    for index, line in enumerate(kept):
        parts += _curve(line, _COLORS[index % len(_COLORS)], across, up)
    parts += _legend(kept)
    return "\n".join([*parts, "</svg>"]) + "\n"


def axis_of(values: Sequence[float], is_whole: bool = False) -> Axis:
    """An axis over these finite values with about five round ticks, 1, 2 or 5 times a power of ten apart."""
    low, high = min(values), max(values)
    least = max(abs(low), abs(high), 1e-3) * 1e-3
    if high - low < least:
        low, high = low - least, high + least
    raw = (high - low) / _TICKS
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * factor for factor in (1, 2, 5, 10) if power * factor >= raw * 0.999)
    if is_whole:
        step = max(1.0, step)
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return Axis(first * step, last * step, tuple(number * step for number in range(first, last + 1)))


def tick_text(value: float) -> str:
    """A tick's value in at most four digits, thousands as `12k`."""
    if abs(value) >= 10_000:
        return f"{value / 1000:g}k"
    return f"{value:.4g}"


def _finite(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)]


def _place(across: Axis, up: Axis, point: tuple[float, float]) -> tuple[float, float]:
    x = _LEFT + across.share(point[0]) * (WIDTH - _LEFT - _RIGHT)
    y = HEIGHT - _BOTTOM - up.share(point[1]) * (HEIGHT - _TOP - _BOTTOM)
    return round(x, 1), round(y, 1)


def _grid(across: Axis, up: Axis, x_name: str, y_name: str) -> list[str]:
    parts = []
    for value in up.ticks:
        x, y = _place(across, up, (across.low, value))
        parts.append(f'<path class="grid" d="M{x} {y}H{WIDTH - _RIGHT}" stroke="#E0E0E0"/>')
        parts.append(_text(x - 8, y + 4, tick_text(value), "end"))
    for value in across.ticks:
        x, y = _place(across, up, (value, up.low))
        parts.append(_text(x, y + 17, tick_text(value), "middle"))
    parts.append(_text((WIDTH + _LEFT - _RIGHT) / 2, HEIGHT - 8, x_name, "middle"))
    middle = (HEIGHT + _TOP - _BOTTOM) / 2
    turned = f' transform="rotate(-90 14 {middle:g})"'
    return [*parts, _text(14, middle, y_name, "middle", turned)]


def _curve(line: Line, color: str, across: Axis, up: Axis) -> list[str]:
    places = [_place(across, up, point) for point in line.points]
    path = " ".join(f"{x},{y}" for x, y in places)
    parts = [f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="2" stroke-linejoin="round"/>']
    if line.has_dots or len(places) == 1:
        parts += [f'<circle cx="{x}" cy="{y}" r="3" fill="{color}"/>' for x, y in places]
    return parts


def _legend(lines: Sequence[Line]) -> list[str]:
    parts, x = [], float(_LEFT)
    for index, line in enumerate(lines):
        color = _COLORS[index % len(_COLORS)]
        parts.append(f'<path d="M{x:g} 16h18" stroke="{color}" stroke-width="3"/>')
        parts.append(_text(x + 24, 20, line.name, "start"))
        x += 24 + 7 * len(line.name) + 24
    return parts


def _text(x: float, y: float, words: str, anchor: str, more: str = "") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" fill="#333"{more}>{escape(words)}</text>'
