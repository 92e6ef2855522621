"""What a command shows: JSON for programs, lines within the terminal's width for people."""

import csv
import io
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from viz_node.cli import printer
from viz_node.cli.layout import GAP, LEAST_WIDTH, fact_lines, sentence_lines, table_lines
from viz_node.cli.sections import NAMES
from viz_node.cli.words import cell, flattened, title, without_unit
from viz_node.domain.plain_text import one_line, shortened

Row = Mapping[str, Any]
ERROR = "error: "
USUAL_WIDTH = 80
_NAMED_COMMAND = re.compile(rf"\bviz-node (?=(?:{'|'.join(NAMES)})\b)")


class Output:
    """Data on stdout, news about its making on stderr; advice names the `home` that was given on the command line."""

    def __init__(self, is_json: bool, home: str | None = None) -> None:
        self.is_json = is_json
        self.home = home
        self.has_live_progress = printer.can_draw() and not is_json

    def rows(self, data: Sequence[Row], columns: Sequence[str], empty: str = "nothing yet") -> None:
        """A table of these keys, each value whole; as JSON all of `data`."""
        if self.is_json:
            self.document(data)
        elif not data:
            self.line(empty)
        else:
            self.table(columns, [[cell(row.get(column), column) for column in columns] for row in data])

    def table(self, columns: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
        """A table of ready cells, for people."""
        titles = [title(column) for column in columns]
        plain = [[one_line(text) for text in line] for line in lines]
        head, *rest = table_lines(titles, plain, _width())
        printer.write_line(head, bold=len(head))
        for line in rest:
            printer.write_line(line)

    def facts(self, data: object, pairs: Sequence[tuple[str, object]]) -> None:
        """Names and values, one per line; the JSON form is `data`."""
        if self.is_json:
            self.document(data)
            return
        given = [(name, value) for name, value in pairs if value not in (None, "", [], {})]
        shown = [(one_line(without_unit(name, value)), cell(value, name)) for name, value in given]
        for line in fact_lines(shown, _width()):
            printer.write_line(line)

    def body(self, data: Mapping[str, Any]) -> None:
        """Every fact of an object, nested ones as `outer.inner`."""
        self.facts(data, flattened(data))

    def result(self, job: Mapping[str, Any]) -> None:
        """What a job that is done has brought; the JSON form is the job."""
        self.facts(job, flattened(job.get("result") or {}))

    def line(self, text: str) -> None:
        """A sentence for people; nothing in JSON form."""
        if not self.is_json:
            for part in sentence_lines(one_line(self.advice(text)), _width()):
                printer.write_line(part)

    def told(self, pairs: Sequence[tuple[str, str]]) -> None:
        """Sentences for people, each beside its name or below it; nothing in JSON form."""
        if not self.is_json:
            plain = [(one_line(name), one_line(self.advice(text))) for name, text in pairs]
            for line in fact_lines(plain, _width()):
                printer.write_line(line)

    def heading(self, text: str) -> None:
        """A sentence after an empty line; nothing in JSON form."""
        self.line("")
        self.line(text)

    def text(self, text: str) -> None:
        """A text of several lines, as an adapter writes them; nothing in JSON form."""
        if not self.is_json:
            printer.write_text(text)

    def news(self, text: str) -> None:
        """A sentence about what is going on, on stderr; nothing in JSON form."""
        if not self.is_json:
            self._write_news(one_line(self.advice(text)))

    def document(self, data: object) -> None:
        """One JSON document."""
        printer.write_json(data)

    def csv(self, columns: Sequence[str], data: Sequence[Row]) -> None:
        """Comma-separated values, for spreadsheets."""
        table = io.StringIO()
        writer = csv.DictWriter(table, columns, extrasaction="ignore", lineterminator="\n")
        writer.writeheader()
        writer.writerows({column: one_line(str(row.get(column, ""))) for column in columns} for row in data)
        printer.write_text(table.getvalue().removesuffix("\n"))

    def error(self, name: str, message: str, hint: str) -> None:
        """Why a command failed and what to do next, on stderr.

        On a terminal a long cause is indented: no part of it can look like a line of this program.
        """
        hint = self.advice(hint)
        if self.is_json:
            body = {"error": name, "message": shortened(message), "hint": shortened(hint)}
            printer.write_json(body, is_news=True, indent=None)
            return
        self._write_news(f"{ERROR}{one_line(message)}", len(ERROR))
        if hint:
            self._write_news(f"next: {one_line(hint)}")

    def _write_news(self, text: str, deeper: int = GAP) -> None:
        """For people within the terminal's width; for logs and pipes in one line."""
        for part in sentence_lines(text, _width(), deeper) if self.has_live_progress else [text]:
            printer.write_line(part, is_news=True)

    def advice(self, text: str) -> str:
        """The text, in which every command names the home that this one was given, ready to be copied."""
        if self.home is None:
            return text
        option = f"viz-node --home {shlex.quote(self.home)} "
        return _NAMED_COMMAND.sub(lambda _: option, text)


def _width() -> int:
    """The terminal's width, or 80 columns where there is none."""
    return max(shutil.get_terminal_size((USUAL_WIDTH, 24)).columns, LEAST_WIDTH)
