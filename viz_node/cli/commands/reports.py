"""`viz-node adapters report`: what a training did."""

import json
from pathlib import Path

import click

from viz_node.cli.terminal import Terminal, json_option, pass_terminal
from viz_node.domain.answer import as_json
from viz_node.domain.counting import counted
from viz_node.domain.report import TextEffect, TrainingReport, report_of
from viz_node.errors import StorageError

_MOST_WORKS = 12


@click.command("report")
@click.argument("adapter")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write report.json and loss.svg to DIR. They quote your works.",
)
@json_option
@pass_terminal
def report_adapter(terminal: Terminal, adapter: str, output: Path | None) -> None:
    """Show what the training of ADAPTER did: to held-out text, to general English, and in samples."""
    answer = terminal.client.call("adapters_report", adapter=adapter)
    report = report_of(answer.get("report"))
    if output is not None:
        _write(output, report, str(answer["curve"]))
    if terminal.output.is_json:
        terminal.output.document(as_json(report))
        return
    columns = ("text", "tokens", "perplexity_before", "perplexity_after")
    rows = [_row("your works, held out", report.own), _row("general English", report.general)]
    terminal.output.table(columns, rows)
    _tell_works(terminal, report)
    for sample in report.samples:
        terminal.output.heading(f"{sample.prompt} …")
        terminal.output.told([("base model", sample.base.strip()), ("adapter", sample.adapter.strip())])
    if output is not None:
        terminal.output.news(f"written to {output}: report.json, loss.svg")


def _tell_works(terminal: Terminal, report: TrainingReport) -> None:
    measured = [work for work in report.works if work.held_out.tokens]
    if len(report.works) < 2 or not measured:
        return
    terminal.output.line("")
    rows = [_row(work.title, work.held_out) for work in measured[:_MOST_WORKS]]
    terminal.output.table(("work", "tokens", "perplexity_before", "perplexity_after"), rows)
    if len(measured) > _MOST_WORKS:
        terminal.output.line(f"and {counted(len(measured) - _MOST_WORKS, 'more work')}; --json lists all")


def _row(name: str, effect: TextEffect) -> list[str]:
    if not effect.tokens:
        return [name, "0", "–", "–"]
    before, after = effect.perplexities
    return [name, f"{effect.tokens:,}", f"{before:.2f}", f"{after:.2f}"]


def _write(directory: Path, report: TrainingReport, curve: str) -> None:
    """Raises: StorageError."""
    try:
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "report.json").write_text(json.dumps(as_json(report), indent=1, ensure_ascii=False) + "\n")
        (directory / "loss.svg").write_text(curve)
    except OSError as error:
        raise StorageError(f"cannot write to {directory}: {error.strerror}", "choose another folder") from error
