"""The only way from this program to the terminal and back: texts from all sources are made plain here.

No other module of `cli` prints, asks or draws; `tests/architecture/test_tree.py` keeps it so.
"""

import json
import sys
from typing import Self

import click

from viz_node.domain.plain_text import one_line, plain_json, several_lines

DESCRIPTION_LIMIT = 60


def is_terminal() -> bool:
    """Whether stdout is a person's."""
    return sys.stdout.isatty()


def can_draw() -> bool:
    """Whether stderr can show a live bar."""
    return sys.stderr.isatty()


def can_ask() -> bool:
    """Whether somebody sits at stdin."""
    return sys.stdin.isatty()


def write_line(text: str, is_news: bool = False, bold: int = 0) -> None:
    """One line on stdout, or as news on stderr; on a terminal its first `bold` characters are bold."""
    line = one_line(text)
    if bold and is_terminal():
        line = click.style(line[:bold], bold=True) + line[bold:]
    _write(line, is_news)


def write_text(text: str) -> None:
    """A text of several lines on stdout, its line ends kept."""
    _write(several_lines(text), False)


def write_piece(text: str) -> None:
    """A part of a text of several lines on stdout, at once, with nothing after it."""
    _write(several_lines(text), False, ends_line=False)


def write_json(data: object, is_news: bool = False, indent: int | None = 2) -> None:
    """One JSON document: escaped are all characters that a terminal would obey, and those that its encoding lacks."""
    stream = sys.stderr if is_news else sys.stdout
    is_unicode = (stream.encoding or "").lower().replace("-", "").startswith("utf")
    _write(plain_json(json.dumps(data, indent=indent, ensure_ascii=not is_unicode)), is_news)


def ask_yes(question: str) -> bool:
    """Whether the person at the terminal says yes; no is the default."""
    return click.confirm(one_line(question), default=False, err=True)


def ask_secret(question: str, twice: bool) -> str:
    """What the person types, unseen."""
    return str(click.prompt(one_line(question), hide_input=True, confirmation_prompt=twice, err=True))


def _write(text: str, is_news: bool, ends_line: bool = True) -> None:
    encoding = (sys.stderr if is_news else sys.stdout).encoding or "utf-8"
    click.echo(text.encode(encoding, "replace").decode(encoding), nl=ends_line, err=is_news)


class Bar:
    """A live bar on stderr; a context. A passing one leaves no trace."""

    def __init__(self, description: str, total: float | None = None, is_passing: bool = False) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, Progress, SpinnerColumn, TaskProgressColumn, TextColumn

        self._bar = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=30),
            TaskProgressColumn(),
            TextColumn("{task.fields[measures]}", markup=False),
            console=Console(stderr=True),
            transient=is_passing,
        )
        self._task = self._bar.add_task(description, total=total, measures="")

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.stop()

    def advance(self) -> None:
        """One step on."""
        self._bar.advance(self._task)

    def update(self, description: str, measures: str, completed: float, total: float | None) -> None:
        """Show this; without a total the bar only moves."""
        self._bar.update(
            self._task,
            description=one_line(description, DESCRIPTION_LIMIT),
            measures=one_line(measures, DESCRIPTION_LIMIT),
            completed=completed,
            total=total,
        )
