"""Rows and facts within a terminal's width: nothing is cut, and nothing that can be broken runs over."""

import io
import re
import unicodedata
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.fakes.hostile_node import EVIL, WordyTransport
from tests.unit.cli.test_hostile_answers import WRITES_TEXTS, arguments_for, command_at, leaves
from viz_node.cli import printer
from viz_node.cli.client import NodeClient
from viz_node.cli.layout import columns_of, fact_lines, sentence_lines, table_lines
from viz_node.cli.main import run

DIGEST = "cd" * 32
COMMAND = r"""(next: )?viz-node( ("[^"]*"|'[^']*'|[^\s,;"'])+)+"""
WORDS = st.text(alphabet="abc漢字é ", max_size=150).map(str.strip)
TABLES = st.integers(1, 8).flatmap(lambda count: st.lists(st.lists(WORDS, min_size=count, max_size=count), max_size=4))


def squeezed(text: str) -> str:
    return "".join(unicodedata.normalize("NFC", text).split())


@given(TABLES, st.integers(40, 120))
def test_table_lines__any_cells__within_the_width_and_all_there(rows: list[list[str]], width: int) -> None:
    titles = [f"column {number}" for number in range(len(rows[0]) if rows else 3)]
    lines = table_lines(titles, rows, width)
    for line in lines:
        assert columns_of(line) <= width or " " not in line.strip(), line
    shown = squeezed(" ".join(lines))
    for row in rows:
        assert all(squeezed(cell) in shown for cell in row), (row, lines)


def test_table_lines__only_one_column_left_and_too_wide__its_cells_are_broken() -> None:
    wide = "漢" * 10
    rows = [["b" * 21 + wide, f"{'a' * 20} {wide}"]]
    assert table_lines(("one", "two"), rows, 40) == ["two", "a" * 20, wide, "  one", f"    {rows[0][0]}"]


def test_table_lines__id_and_long_text__below_their_row() -> None:
    lines = table_lines(("id", "name", "terms"), [(DIGEST, "elsin", "only in Austria " * 6), ("-", "", "none")], 80)
    assert lines[:3] == ["name", "elsin", f"  id     {DIGEST}"]
    assert lines[3].startswith("  terms  only in Austria")
    assert lines[4].startswith("         Austria only")
    assert lines[5:] == ["", "  terms  none"]
    assert all(columns_of(line) <= 80 for line in lines)


def test_table_lines__wide_characters__columns_stay_aligned() -> None:
    lines = table_lines(("title", "price"), [("漢字", "5"), ("abcd", "6")], 80)
    assert lines[1:] == ["漢字   5", "abcd   6"]


def test_fact_lines__value_too_long_for_its_name__stands_below() -> None:
    assert fact_lines([("base_model.digest", DIGEST), ("a", "b")], 80) == [
        "base_model.digest",
        f"  {DIGEST}",
        "a                  b",
    ]
    account = "0x" + "ab" * 20
    assert fact_lines([(account, "97")], 80) == [f"{account}  97"]


def test_sentence_lines__long_text__stands_deeper_and_leaves_commands_whole() -> None:
    command = "viz-node --home '/a b, c' license elsin --max-price 6.00"
    lines = sentence_lines(f"  note: {'word ' * 12}follow it: {command}, then {'word ' * 12}", 80)
    assert lines[0].startswith("  note: word")
    assert all(line.startswith("    ") for line in lines[1:])
    assert sum(command in line for line in lines) == 1
    assert all(columns_of(line) <= 80 for line in lines)
    assert sentence_lines("  short  text", 80) == ["  short  text"]


def test_fact_lines__no_name__value_alone() -> None:
    assert fact_lines([("ok    clock", "fine"), ("", f"fix: {DIGEST} {DIGEST}")], 80) == [
        "ok    clock  fine",
        "             fix:",
        f"             {DIGEST}",
        f"             {DIGEST}",
    ]


def is_whole(line: str) -> bool:
    """Whether it is one piece that nobody may break: a word, or a command with the mark that follows it."""
    return " " not in line.strip() or bool(re.fullmatch(rf"\s*`?{COMMAND}[`.,;)]*", line))


@pytest.mark.parametrize("path", leaves(), ids=" ".join)
def test_command__long_words_names_and_ids__every_line_within_80_columns(
    path: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(printer, "can_draw", lambda: True)
    monkeypatch.setattr(printer, "can_ask", lambda: True)
    monkeypatch.setattr(printer, "ask_yes", lambda _question: True)
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    asked = [word for word in arguments_for(command_at(path), tmp_path, True) if word != "--yes"]
    arguments = ["elsin" if word == EVIL else word for word in asked]
    for kind in ("answer", "failed job", "error"):
        transport = WordyTransport(kind)
        monkeypatch.setattr(NodeClient, "_request", lambda _self, *asked, answer=transport: answer(*asked))
        run(["--home", str(tmp_path), *path, *arguments])
        for shown in capsys.readouterr():
            long = [line for line in shown.splitlines() if columns_of(line) > 80 and not is_whole(line)]
            assert not long or path in WRITES_TEXTS, (path, long)
