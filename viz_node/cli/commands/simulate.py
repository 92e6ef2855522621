"""`viz-node simulate`: seeded experiments that compare payout and pricing rules; needs no node and no home."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from viz_node.cli.terminal import Terminal, json_option, pass_terminal
from viz_node.domain.counting import counted
from viz_node.errors import UsageError

if TYPE_CHECKING:
    from viz_node.economics.run import Result

NAMES = ("fraud", "pricing", "market")


@click.command("simulate")
@click.argument("experiment", type=click.Choice([*NAMES, "all"]), default="all")
@click.option(
    "--seed", type=click.IntRange(min=0), default=1, show_default=True, help="The same seed gives the same figures."
)
@click.option(
    "--repeats", type=click.IntRange(min=2, max=10_000), default=60, show_default=True, help="Populations per band."
)
@click.option(
    "--out",
    type=click.Path(file_okay=False, path_type=Path),
    default=Path("simulation"),
    show_default=True,
    help="Folder for the tables (CSV, Markdown, JSON) and the plots (PNG, SVG).",
)
@json_option
@pass_terminal
def simulate_command(terminal: Terminal, experiment: str, seed: int, repeats: int, out: Path) -> None:
    """Compare payout and pricing rules for owners, developers, users and attackers.

    fraud: paying bots against three ways to divide a catalogue's fees. pricing: self-buying against five price rules,
    and honest sellers under demand shocks. market: everybody at once. docs/explanation/economics.md explains them.
    """
    results = _run(terminal, NAMES if experiment == "all" else (experiment,), seed, repeats)
    written = _write(results, out)
    tables = [table for result in results for table in result.tables()]
    if terminal.output.is_json:
        body = {"seed": seed, "repeats": repeats, "files": [str(path) for path in written]}
        terminal.output.document({**body, "tables": {table.name: table.to_dict() for table in tables}})
        return
    for table in tables:
        terminal.output.heading(table.title)
        terminal.output.table(table.columns, table.cells())
    terminal.output.heading(f"{counted(len(written), 'file')} in {out}")


def _run(terminal: Terminal, names: tuple[str, ...], seed: int, repeats: int) -> list["Result"]:
    from viz_node.economics.run import EXPERIMENTS, run_experiment

    steps = repeats * sum(len(EXPERIMENTS[name]) for name in names)
    with _progress(terminal, steps) as advance:
        return [run_experiment(name, seed, repeats, advance) for name in names]


def _write(results: list["Result"], out: Path) -> list[Path]:
    from viz_node.economics.run import write_results

    try:
        return write_results(results, out)
    except OSError as error:
        raise UsageError(f"cannot write to {out}: {error.strerror}", "choose another folder with --out") from error


@contextmanager
def _progress(terminal: Terminal, steps: int) -> Iterator[Callable[[], None]]:
    if not terminal.output.has_live_progress:
        yield lambda: None
        return
    from viz_node.cli.printer import Bar

    with Bar("simulating", steps) as bar:
        yield bar.advance
