"""What an experiment returns: tables of measured figures, each with its band over the seeds."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

BAND_PERCENTILES = (2.5, 97.5)


@dataclass(frozen=True)
class Band:
    """Mean of one figure over the seeds, and the interval that holds 95 % of them."""

    mean: float
    low: float
    high: float

    def __str__(self) -> str:
        mean, low, high = figure(self.mean), figure(self.low), figure(self.high)
        return mean if low == mean == high else f"{mean} ({low}..{high})"


@dataclass(frozen=True)
class Table:
    """One table; a cell is a text, a number or a `Band`."""

    name: str
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]

    def cells(self) -> list[list[str]]:
        """Every cell as text, for people."""
        return [[value if isinstance(value, str) else str_of(value) for value in row] for row in self.rows]

    def to_dict(self) -> dict[str, Any]:
        """The table as plain data, bands as their three numbers."""
        rows = [{column: _plain(value) for column, value in zip(self.columns, row, strict=True)} for row in self.rows]
        return {"title": self.title, "rows": rows}

    def to_markdown(self) -> str:
        """The table as the documentation shows it."""
        lines = [list(self.columns), ["---"] + ["---:"] * (len(self.columns) - 1), *self.cells()]
        return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def band(values: Sequence[float]) -> Band:
    """Mean and 95 % band of one figure, one value per seed."""
    low, high = np.percentile(np.asarray(values, dtype=float), BAND_PERCENTILES)
    return Band(float(np.mean(values)), float(low), float(high))


def figure(value: float) -> str:
    """Three significant digits, thousands with a space, and no minus before a zero."""
    if abs(value) < 0.005:
        return "0"
    if abs(value) >= 1000:
        return f"{float(f'{value:.3g}'):,.0f}".replace(",", " ")
    return f"{value:.3g}"


def str_of(value: object) -> str:
    """A number as `figure` writes it; a band as its own text."""
    return figure(float(value)) if isinstance(value, int | float) else str(value)


def gini(incomes: Sequence[float]) -> float:
    """Gini coefficient of non-negative incomes: 0 if all are equal, towards 1 if one has everything."""
    ordered = np.sort(np.asarray(incomes, dtype=float))
    total = ordered.sum()
    if total <= 0:
        return 0.0
    ranks = np.arange(1, len(ordered) + 1)
    return float((2 * ranks - len(ordered) - 1) @ ordered / (len(ordered) * total))


def _plain(value: object) -> object:
    if isinstance(value, Band):
        return {"mean": value.mean, "low": value.low, "high": value.high}
    return value
