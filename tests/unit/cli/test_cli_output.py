"""What people and programs see."""

import json
from typing import Any

import pytest

from viz_node.cli.output import Output, cell, flattened, printable

ROWS: list[dict[str, Any]] = [
    {"name": "a\x1b[31mred", "price": "5.00", "licensed": True},
    {"name": "b", "price": None, "licensed": False},
]


def test_rows__piped__aligned_without_control_characters(capsys: pytest.CaptureFixture[str]) -> None:
    Output(is_json=False).rows(ROWS, ("name", "price", "licensed"))
    assert capsys.readouterr().out.splitlines() == [
        "name       price  licensed",
        "a�[31mred  5.00   yes",
        "b          -      no",
    ]


def test_rows__json__the_whole_data(capsys: pytest.CaptureFixture[str]) -> None:
    Output(is_json=True).rows(ROWS, ("name",))
    assert json.loads(capsys.readouterr().out) == ROWS


def test_rows__terminal__brackets_are_not_markup(capsys: pytest.CaptureFixture[str]) -> None:
    output = Output(is_json=False)
    output.is_terminal = True
    output.rows([{"name": "[red]x[/red]"}], ("name",))
    assert "[red]x[/red]" in capsys.readouterr().out


def test_rows__none__says_so(capsys: pytest.CaptureFixture[str]) -> None:
    Output(is_json=False).rows([], ("name",), empty="no adapters yet")
    assert capsys.readouterr().out == "no adapters yet\n"


def test_news__goes_to_stderr_and_not_into_json(capsys: pytest.CaptureFixture[str]) -> None:
    Output(is_json=False).news("working")
    Output(is_json=True).news("working")
    Output(is_json=True).line("done")
    assert capsys.readouterr() == ("", "working\n")


def test_cell__kinds_of_values__one_line() -> None:
    assert [cell(value) for value in (None, True, 1, 1.23456, ["a", 2], {"k": "v"}, "a\nb")] == [
        "-",
        "yes",
        "1",
        "1.235",
        "a, 2",
        "k v",
        "a b",
    ]


def test_flattened__nested__dotted_names() -> None:
    assert flattened({"a": 1, "b": {"c": {"d": 2}}}) == [("a", 1), ("b.c.d", 2)]


def test_printable__control_and_direction_characters__replaced() -> None:
    assert printable("ok\x07\u202ekcab\n") == "ok��kcab\n"


def test_rows__digest__first_digits_for_people_only(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [{"work_id": "ab" * 32}]
    Output(is_json=False).rows(rows, ("work_id",))
    assert capsys.readouterr().out.splitlines() == ["work id", "abababababab"]
    Output(is_json=True).rows(rows, ("work_id",))
    assert json.loads(capsys.readouterr().out) == rows
