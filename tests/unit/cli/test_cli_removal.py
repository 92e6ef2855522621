"""Nothing is removed without a yes, and the question names what is lost."""

import io
from pathlib import Path
from typing import Any

import click
import pytest

from viz_node.cli.commands.content import content_command
from viz_node.cli.commands.library import adapters_command
from viz_node.cli.terminal import Terminal
from viz_node.errors import RefusedError

WORK = "ab" * 32
ANSWERS: dict[str, dict[str, Any]] = {
    "plan_content_remove": {
        "work_id": WORK, "title": "The Bell", "author": "Elsin", "characters": 4227, "jobs": ["j1"],
        "adapters": [{"name": "poems", "adapter_id": None, "origin": "trained"}],
    },
    "content_remove": {"work_id": WORK, "title": "The Bell", "adapters": ["poems"], "jobs": ["j1"]},
    "plan_adapters_remove": {"name": "poems", "origin": "fetched", "loses": "its files; the license stays"},
    "adapters_remove": {"name": "poems", "adapter_id": None, "origin": "fetched"},
}  # fmt: skip
COMMANDS = [
    (
        content_command,
        WORK[:8],
        "content_remove",
        {"work": WORK},
        ("The Bell by Elsin, 4227", "adapter poems", "job j1"),
    ),
    (adapters_command, "poems", "adapters_remove", {"adapter": "poems"}, ("poems is fetched", "the license stays")),
]


class Typed(io.StringIO):
    """What a person types at a terminal."""

    def isatty(self) -> bool:
        return True


class Answering:
    """The node, which notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def call(self, operation: str, **params: Any) -> Any:
        self.asked.append((operation, params))
        return ANSWERS[operation]


def run(command: click.Command, home: Path, *words: str) -> list[tuple[str, dict[str, Any]]]:
    terminal = Terminal(home)
    node = terminal.__dict__["client"] = Answering()
    try:
        command.main(["remove", *words], obj=terminal, standalone_mode=False, help_option_names=["-h", "--help"])
    except RefusedError:
        assert len(node.asked) == 1, "it was planned, not done"
        raise
    return node.asked


@pytest.mark.parametrize(("command", "name", "operation", "order", "losses"), COMMANDS)
def test_remove__person__is_told_what_is_lost_and_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    command: click.Command, name: str, operation: str, order: dict[str, Any], losses: tuple[str, ...],
) -> None:  # fmt: skip
    monkeypatch.setattr("sys.stdin", Typed("y\n"))
    assert run(command, tmp_path, name)[1:] == [(operation, order)]
    shown = capsys.readouterr().out
    assert all(words in shown for words in losses)
    for answer in ("n\n", "\n"):
        monkeypatch.setattr("sys.stdin", Typed(answer))
        with pytest.raises(RefusedError, match="nothing was removed"):
            run(command, tmp_path, name)


@pytest.mark.parametrize(("command", "name", "operation", "order", "losses"), COMMANDS)
def test_remove__nobody_to_ask__needs_yes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: click.Command, name: str, operation: str,
    order: dict[str, Any], losses: tuple[str, ...],
) -> None:  # fmt: skip
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))
    with pytest.raises(RefusedError, match="nobody can be asked") as caught:
        run(command, tmp_path, name)
    assert "--yes" in caught.value.hint
    monkeypatch.setattr("sys.stdin", Typed("y\n"))
    with pytest.raises(RefusedError):
        run(command, tmp_path, name, "--json")
    assert run(command, tmp_path, name, "--yes", "--json")[1:] == [(operation, order)]
