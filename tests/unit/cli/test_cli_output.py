"""What people and programs see."""

import csv
import io
import json
from typing import Any

import pytest

from viz_node.cli.output import Output

ROWS: list[dict[str, Any]] = [
    {"name": "a\x1b[31mred", "price": "5.00", "licensed": True},
    {"name": "b", "price": None, "licensed": False},
]
DIGEST = "ab" * 32


def test_rows__piped__aligned_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    Output(is_json=False).rows(ROWS, ("name", "price", "licensed"))
    assert capsys.readouterr().out.splitlines() == [
        "name       price        licensed",
        "a�[31mred  5.00 tokens  yes",
        "b          -            no",
    ]


def test_rows__json__the_whole_data(capsys: pytest.CaptureFixture[str]) -> None:
    Output(is_json=True).rows(ROWS, ("name",))
    assert json.loads(capsys.readouterr().out) == ROWS


def test_rows__terminal__brackets_are_not_markup_and_the_head_is_bold(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("viz_node.cli.printer.is_terminal", lambda: True)
    Output(is_json=False).rows([{"name": "[red]x[/red]"}], ("name",))
    assert "[red]x[/red]" in capsys.readouterr().out


def test_rows__none__says_so(capsys: pytest.CaptureFixture[str]) -> None:
    Output(is_json=False).rows([], ("name",), empty="no adapters yet")
    assert capsys.readouterr().out == "no adapters yet\n"


def test_rows__id_that_does_not_fit__whole_on_a_line_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    Output(is_json=False).rows(
        [{"work_id": DIGEST, "title": "The Old Harbour", "author": "A"}] * 2, ("work_id", "title")
    )
    assert capsys.readouterr().out.splitlines() == ["title", *["The Old Harbour", f"  work id  {DIGEST}"] * 2]


def test_news__goes_to_stderr_and_not_into_json(capsys: pytest.CaptureFixture[str]) -> None:
    Output(is_json=False).news("working")
    Output(is_json=True).news("working")
    Output(is_json=True).line("done")
    Output(is_json=True).text("done")
    assert capsys.readouterr() == ("", "working\n")


def test_line__home_was_given__commands_name_it_quoted(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(is_json=False, home="/my node")
    output.line("next: viz-node train NAME, then viz-node --home /other status; viz-node is a program")
    output.error("UsageError", "no", "viz-node content list")
    printed = capsys.readouterr()
    assert printed.out == (
        "next: viz-node --home '/my node' train NAME, then\n  viz-node --home /other status; viz-node is a program\n"
    )
    assert printed.err == "error: no\nnext: viz-node --home '/my node' content list\n"


def test_error__terminal__long_cause_is_indented_and_the_hint_stays_whole(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output, hint = Output(is_json=False), ("viz-node doctor " * 9).strip()
    output.has_live_progress = True
    output.error("UsageError", f"{'no ' * 30}\nverdict: every sale holds", hint)
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith("error: no no")
    assert all(line.startswith("       ") for line in lines[1:-1])
    assert "verdict" in lines[-2]
    assert lines[-1] == f"next: {hint}"


def test_json__encoding_without_unicode__escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    raw = io.BytesIO()
    monkeypatch.setattr("sys.stdout", io.TextIOWrapper(raw, encoding="ascii", write_through=True))
    Output(is_json=True).document({"name": "Höfe"})
    Output(is_json=False).line("Höfe")
    document, _, rest = raw.getvalue().decode("ascii").rpartition("}\n")
    assert json.loads(document + "}") == {"name": "Höfe"}
    assert rest == "H?fe\n"


def test_csv__line_end_in_a_value__one_record(capsys: pytest.CaptureFixture[str]) -> None:
    Output(is_json=False).csv(("a", "b"), [{"a": "1\n2", "b": 'say "so", then', "c": "unasked"}])
    assert list(csv.reader(capsys.readouterr().out.splitlines())) == [["a", "b"], ["1 2", 'say "so", then']]
