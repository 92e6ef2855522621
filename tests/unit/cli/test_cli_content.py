"""Taking works in by steps, and showing what was taken."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from viz_node.cli.commands import content
from viz_node.cli.commands.content import content_command
from viz_node.cli.terminal import Terminal
from viz_node.errors import UsageError

TEXT = "1\n2\n\nFirst\tline\n\x1b[2Jsecond " + "x" * 50


class Shelf:
    """The node, with one work whose text comes in pages of 20 characters."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []

    def call(self, operation: str, **params: Any) -> Any:
        self.asked.append(params)
        if operation == "content_add":
            added = [{"work_id": "ab" * 32, "title": Path(path).stem, "notes": ["guessed"]} for path in params["paths"]]
            return {"added": added, "refused": []}
        if operation == "content_text":
            end = params["start"] + 20
            return {"text": TEXT[params["start"] : end], "next": end if end < len(TEXT) else None}
        return {"work_id": params["work"], "title": "One", "notes": ["guessed"]}

    def call_list(self, operation: str, **params: Any) -> Any:
        return [{"work_id": "ab" * 32, "title": "One", "notes": ["a", "b"]}, {"work_id": "cd" * 32, "title": "Old"}]


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    return new_terminal(tmp_path)


def new_terminal(home: Path) -> Terminal:
    shown = Terminal(home)
    shown.__dict__["client"] = Shelf()
    return shown


def run(terminal: Terminal, *words: str) -> list[dict[str, Any]]:
    content_command.main(list(words), obj=terminal, standalone_mode=False, help_option_names=["-h", "--help"])
    return list(terminal.__dict__["client"].asked)


def test_add__large_folder__goes_in_by_steps_with_progress(
    terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(content, "FILES_PER_CALL", 2)
    folder = tmp_path / "works"
    folder.mkdir()
    for name in (b"a.txt", b"b.txt", b"c.txt", b"gr\xfcn.txt"):
        (folder / os.fsdecode(name)).write_text("x")
    (folder / "out.txt").symlink_to("/etc/hostname")
    asked = run(terminal, "add", str(folder), "--rights", "owned", "--author", "E", "--encoding", "cp1251")
    assert [len(call["paths"]) for call in asked] == [2, 2]
    assert asked[1]["paths"][1].endswith("gr\udcfcn.txt")
    assert {call["encoding"] for call in asked} == {"cp1251"}
    out, err = capsys.readouterr()
    assert "4 added, 1 not added" in out
    assert "reading 0/4" in err
    assert "a: guessed" in err
    assert "out.txt: the link leads out of the folder" in err


def test_add__nothing_there__asks_nobody(terminal: Terminal, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="there is no file in"):
        run(terminal, "add", str(tmp_path), "--rights", "owned", "--author", "E")
    assert terminal.__dict__["client"].asked == []


def test_list__notes__counted_for_people_and_whole_for_programs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(new_terminal(tmp_path), "list")
    assert capsys.readouterr().out.splitlines()[1].split()[-1] == "2"
    run(new_terminal(tmp_path), "list", "--json")
    assert json.loads(capsys.readouterr().out)[0]["notes"] == ["a", "b"]


def test_show__text__all_of_it_in_lines_as_they_were(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(new_terminal(tmp_path), "show", "ab", "--text")
    assert capsys.readouterr().out == "1\n2\n\nFirst   line\n�[2Jsecond " + "x" * 50 + "\n"
    run(new_terminal(tmp_path), "show", "ab", "--text", "--json")
    assert json.loads(capsys.readouterr().out)["text"] == TEXT


def test_show__without_text__facts_and_notes(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    run(terminal, "show", "ab")
    assert "guessed" in capsys.readouterr().out
