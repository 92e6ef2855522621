"""The experiments by name: run them, and write their tables and figures."""

import csv
import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from viz_node.economics.demand import run_shocks
from viz_node.economics.fraud import run_fraud
from viz_node.economics.market import run_market
from viz_node.economics.pump import run_pump
from viz_node.economics.tables import Table


@dataclass(frozen=True)
class Part:
    """One part of an experiment: how to run it, its figure's name, and which function of `plots` draws it."""

    run: Callable[[int, int, Callable[[], None]], Any]
    figure: str
    draw: str


@dataclass(frozen=True)
class Result:
    """The findings of one experiment."""

    parts: tuple[tuple[Part, Any], ...]

    def tables(self) -> list[Table]:
        """Every table, in order."""
        return [table for _, outcome in self.parts for table in outcome.tables()]


EXPERIMENTS: dict[str, tuple[Part, ...]] = {
    "fraud": (Part(run_fraud, "economics-fraud", "draw_fraud"),),
    "pricing": (
        Part(run_pump, "economics-pump", "draw_pump"),
        Part(run_shocks, "economics-prices", "draw_prices"),
    ),
    "market": (Part(run_market, "economics-market", "draw_market"),),
}


def run_experiment(name: str, seed: int, repeats: int, advance: Callable[[], None]) -> Result:
    """Run one experiment; `advance` is called `repeats` times for each of its parts."""
    return Result(tuple((part, part.run(seed, repeats, advance)) for part in EXPERIMENTS[name]))


def write_results(results: Iterable[Result], folder: Path) -> list[Path]:
    """Write each table as CSV, Markdown and JSON, each figure as PNG and SVG; returns the files. Raises: OSError."""
    from viz_node.economics import plots

    found = list(results)
    folder.mkdir(parents=True, exist_ok=True)
    written = [path for result in found for table in result.tables() for path in write_table(table, folder)]
    figures = [(part.figure, getattr(plots, part.draw), outcome) for result in found for part, outcome in result.parts]
    return written + plots.write_figures(figures, folder)


def write_table(table: Table, folder: Path) -> list[Path]:
    """The three files of one table."""
    paths = [folder / f"{table.name}.{ending}" for ending in ("csv", "md", "json")]
    with paths[0].open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([table.columns, *table.cells()])
    paths[1].write_text(table.to_markdown(), encoding="utf-8")
    paths[2].write_text(json.dumps(table.to_dict(), indent=2) + "\n", encoding="utf-8")
    return paths
