"""Printing: JSON for programs, rich tables on a terminal, plain columns otherwise; strangers' text made harmless."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import click

from viz_node.domain.ids import is_hex_digest

Row = Mapping[str, Any]
ID_DIGITS = 12


class Output:
    """Data on stdout, news about its making on stderr."""

    def __init__(self, is_json: bool) -> None:
        self.is_json = is_json
        self.is_terminal = sys.stdout.isatty() and not is_json
        self.has_live_progress = sys.stderr.isatty() and not is_json

    def rows(self, data: Sequence[Row], columns: Sequence[str], empty: str = "nothing yet") -> None:
        """A table of these keys, ids by their first digits, which every command accepts; as JSON all of `data`."""
        if self.is_json:
            self.document(data)
        elif not data:
            click.echo(empty)
        else:
            self.table(columns, [[shortened(cell(row.get(column))) for column in columns] for row in data])

    def table(self, columns: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
        """A table of ready cells, for people."""
        titles = [column.replace("_", " ") for column in columns]
        if self.is_terminal:
            self._rich_table(titles, lines)
            return
        widths = [max(len(line[place]) for line in [titles, *lines]) for place in range(len(titles))]
        for line in [titles, *lines]:
            click.echo("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)).rstrip())

    def facts(self, data: object, pairs: Sequence[tuple[str, object]]) -> None:
        """Names and values, one per line; the JSON form is `data`."""
        if self.is_json:
            self.document(data)
            return
        shown = [(name, cell(value)) for name, value in pairs if value not in (None, "", [], {})]
        width = max((len(name) for name, _ in shown), default=0)
        for name, value in shown:
            title = click.style(name.ljust(width), bold=True) if self.is_terminal else name.ljust(width)
            click.echo(f"{title}  {value}")

    def body(self, data: Mapping[str, Any]) -> None:
        """Every fact of an object, nested ones as `outer.inner`."""
        self.facts(data, flattened(data))

    def result(self, job: Mapping[str, Any]) -> None:
        """What a job that is done has brought; the JSON form is the job."""
        self.facts(job, flattened(job.get("result") or {}))

    def line(self, text: str) -> None:
        """A sentence for people; nothing in JSON form."""
        if not self.is_json:
            click.echo(printable(text))

    def news(self, text: str) -> None:
        """A sentence about what is going on, on stderr; nothing in JSON form."""
        if not self.is_json:
            click.echo(printable(text), err=True)

    def document(self, data: object) -> None:
        """One JSON document."""
        click.echo(json.dumps(data, indent=2, ensure_ascii=False))

    def _rich_table(self, titles: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
        from rich import box
        from rich.console import Console
        from rich.table import Table
        from rich.text import Text

        table = Table(*titles, box=box.SIMPLE_HEAD, header_style="bold")
        for line in lines:
            # Text, not str: square brackets in a stranger's name are not markup.
            table.add_row(*(Text(text, overflow="fold") for text in line))
        Console().print(table)


def cell(value: object) -> str:
    """A value as one line of text."""
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, list | tuple):
        return ", ".join(cell(item) for item in value)
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {cell(item)}" for key, item in value.items())
    return printable(str(value)).replace("\n", " ")


def shortened(text: str) -> str:
    """A digest's first 12 digits; any other text as it is."""
    return text[:ID_DIGITS] if is_hex_digest(text) else text


def printable(text: str) -> str:
    """The text without control characters, so that no peer's name can steer the terminal."""
    return "".join(char if char.isprintable() or char == "\n" else "�" for char in text)


def flattened(data: Mapping[str, Any], prefix: str = "") -> list[tuple[str, object]]:
    """The facts of nested objects in order, as dotted names."""
    pairs: list[tuple[str, object]] = []
    for key, value in data.items():
        name = f"{prefix}{key}"
        if isinstance(value, Mapping):
            pairs += flattened(value, f"{name}.")
        else:
            pairs.append((name, value))
    return pairs
