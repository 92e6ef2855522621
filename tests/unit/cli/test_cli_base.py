"""The default base model, shown and changed."""

from pathlib import Path
from typing import Any

import pytest

from viz_node.cli.commands.base import base_command
from viz_node.cli.terminal import Terminal
from viz_node.errors import NotFoundError, UsageError

ROWS = [
    {"name": "small", "digest": "aa" * 32, "default": True, "provenance": {}},
    {"name": "twin", "digest": "aabb" * 16, "default": False, "provenance": {}},
    {"name": "twin", "digest": "cc" * 32, "default": False, "provenance": {}},
]

PLAN = {"name": "own", "license": "CC0-1.0", "steps": 7, "tokens": 28672}
PLAN["sources"] = [{"title": "Night", "authors": "A", "license": "CC0-1.0", "use": "train"}]


class Bases:
    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def call(self, operation: str, **params: Any) -> Any:
        self.asked.append((operation, params))
        return PLAN if operation == "plan_base_train" else {"name": "chosen", "job_id": "j1"}

    def call_list(self, operation: str, **params: Any) -> Any:
        return ROWS


def run(home: Path, *words: str) -> list[tuple[str, dict[str, Any]]]:
    terminal = Terminal(home)
    terminal.__dict__["client"] = Bases()
    base_command.main(list(words), obj=terminal, standalone_mode=False, help_option_names=["-h", "--help"])
    return list(terminal.__dict__["client"].asked)


def test_base_list__default__marked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run(tmp_path, "list")
    head, first, second, _ = capsys.readouterr().out.splitlines()
    assert "default" in head
    assert first.split()[-1] == "yes"
    assert second.split()[-1] == "no"


@pytest.mark.parametrize(
    ("state", "told"),
    [
        ("running", "one is on its way: viz-node jobs show j7 --follow"),
        ("queued", "one is on its way: viz-node jobs show j7 --follow"),
        ("failed", "install the one of this package: viz-node base install"),
    ],
)
def test_base_list__none_yet__says_whether_one_is_being_built(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, state: str, told: str
) -> None:
    rows = {"base_list": [], "jobs_list": [{"job_id": "j7", "kind": "base_install", "state": state}]}
    monkeypatch.setattr(Bases, "call_list", lambda self, operation, **_: rows[operation])
    run(tmp_path, "list")
    assert capsys.readouterr().out == f"no base model yet; {told}\n"


@pytest.mark.parametrize("name", ["small", "aaaaaa", "aa" * 32])
def test_base_use__name_or_digest__node_is_told_the_whole_digest(
    tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(tmp_path, "use", name) == [("base_use", {"base": "aa" * 32})]
    assert "the default base model is chosen now" in capsys.readouterr().out


@pytest.mark.parametrize(("name", "error"), [("none", NotFoundError), ("aaaa", NotFoundError), ("twin", UsageError)])
def test_base_use__unknown_or_of_several__refused(tmp_path: Path, name: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        run(tmp_path, "use", name)


LIST = """
format = "viz-node/sources/1"
name = "own"
license = "CC0-1.0"
[[sources]]
title = "Night"
"""


def test_base_install__without_a_name__is_the_one_of_the_package(tmp_path: Path) -> None:
    assert run(tmp_path, "install", "--detach") == [("base_install", {"base": "viz-base-english-1"})]
    assert run(tmp_path, "install", "hf:a/b@main", "--detach") == [("base_install", {"base": "hf:a/b@main"})]


def test_base_train__list_and_recipe__are_sent_whole_and_steps_win(tmp_path: Path) -> None:
    (tmp_path / "list.toml").write_text(LIST)
    (tmp_path / "recipe.toml").write_text("layers = 3\nsteps = 9\n")
    files = [str(tmp_path / "list.toml"), "--recipe", str(tmp_path / "recipe.toml")]
    asked = run(tmp_path, "train", *files, "--steps", "5", "--detach")
    assert [name for name, _ in asked] == ["plan_base_train", "base_train"]
    assert asked[0][1] == asked[1][1]
    assert asked[1][1]["recipe"] == {"layers": 3, "steps": 5}
    assert asked[1][1]["texts"] == str(tmp_path)
    assert asked[1][1]["sources"]["sources"] == [{"title": "Night"}]


def test_base_train__dry_run__only_plans(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "list.toml").write_text(LIST)
    asked = run(tmp_path, "train", str(tmp_path / "list.toml"), "--texts", str(tmp_path), "--dry-run")
    assert [name for name, _ in asked] == ["plan_base_train"]
    assert "own under CC0-1.0: 1 source, 7 steps, 28672 tokens" in capsys.readouterr().out


@pytest.mark.parametrize("raw", [b"x = ", b"\xff", b"a" * 600_000])
def test_base_train__list_that_is_no_toml__asks_no_node(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "list.toml").write_bytes(raw)
    with pytest.raises(UsageError):
        run(tmp_path, "train", str(tmp_path / "list.toml"))


def test_base_show__long_provenance__names_the_first_sources_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = [{"title": f"Book {number}"} for number in range(60)]
    row = {"name": "own", "digest": "dd" * 32, "provenance": {"sources": sources, "losses": [[1, "2.0"]], "seed": 1}}
    monkeypatch.setattr(Bases, "call_list", lambda self, operation, **params: [row])
    run(tmp_path, "show", "own")
    shown = " ".join(capsys.readouterr().out.split())
    assert "Book 4; and 55 more" in shown
    assert "losses" not in shown
    assert "seed 1" in shown
    run(tmp_path, "show", "own", "--json")
    assert "Book 59" in capsys.readouterr().out
