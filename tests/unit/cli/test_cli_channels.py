"""What people see when they pay by use: what it costs before it is done, and what is left after each answer."""

import json
from pathlib import Path
from typing import Any

import click
import pytest

from viz_node.cli.commands.channels import channel_command
from viz_node.cli.commands.library import generate_command
from viz_node.cli.terminal import Terminal
from viz_node.errors import RefusedError

PLAN = [{"what": "x", "amount": "0.02", "gas": "0.0001", "consequence": "what is not used comes back"}]
ROW = {
    "channel": 1, "adapter": "elsin", "adapter_id": "ab" * 32, "price": "0.01", "uses": 2, "uses_left": 3,
    "spent": "0.02", "deposit": "0.05", "days_left": 29, "state": "open", "session": "0x", "close_at": 1,
}  # fmt: skip


class Answering:
    """The node, which notes what it is asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []

    def call(self, operation: str, **params: Any) -> Any:
        self.asked.append((operation, params))
        return (
            {"job_id": "j1", "receipts": 2}
            if operation != "channel_show"
            else ROW | {"kept": ["j0"], "receipts": [{}, {}]}
        )

    def call_list(self, operation: str, **params: Any) -> Any:
        self.asked.append((operation, params))
        return [ROW] if operation == "channel_list" else PLAN


@pytest.fixture
def terminal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Terminal:
    shown = Terminal(tmp_path)
    shown.__dict__["client"] = Answering()
    result = {"text": "the answer", "paid": "0.01", "uses_left": 3, "channel": 1}
    monkeypatch.setattr(Terminal, "run_job", lambda *_, **__: {"job_id": "j1", "result": result})
    return shown


def run(terminal: Terminal, command: click.Command, *words: str) -> list[tuple[str, dict[str, Any]]]:
    # A command remembers the names of its option for help from its first run.
    command.main(list(words), obj=terminal, standalone_mode=False, help_option_names=["-h", "--help"])
    return list(terminal.__dict__["client"].asked)


SPENDING = {
    ("open", "elsin", "--deposit", "0.05"): ("plan_channel", {"adapter": "elsin", "deposit": "0.05", "days": 30}),
    ("top-up", "1", "0.02"): ("plan_top_up", {"channel": 1, "amount": "0.02"}),
    ("close", "1"): ("plan_close", {"channel": 1}),
}


@pytest.mark.parametrize("words", SPENDING)
def test_channel__spending__shows_the_plan_of_the_same_order_and_needs_a_yes(
    terminal: Terminal, words: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    plan, order = SPENDING[words]
    assert run(terminal, channel_command, *words, "--dry-run") == [(plan, order)]
    assert "what is not used comes back" in capsys.readouterr().out
    with pytest.raises(RefusedError, match="without a yes"):
        run(terminal, channel_command, *words)
    terminal.__dict__["client"].asked.clear()
    operation = f"channel_{words[0].replace('-', '_')}"
    assert run(terminal, channel_command, *words, "--yes") == [(operation, order)]


def test_channel_list__open__tells_uses_and_days_left(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    run(terminal, channel_command, "list")
    lines = capsys.readouterr().out.splitlines()
    assert "uses left" in lines[0] and "days left" in lines[0]
    assert lines[1].split() == ["1", "elsin", "2", "3", "0.02", "tokens", "0.05", "tokens", "29", "open"]
    below = [["price", "0.01", "tokens"], ["adapter", "id", "ab" * 32]]
    assert sorted(line.split() for line in lines[2:]) == sorted(below)


@pytest.mark.parametrize("options", [(), ("--json",)])
def test_channel_show__answer_waits_for_its_job__says_how_to_get_it(
    terminal: Terminal, options: tuple[str, ...], capsys: pytest.CaptureFixture[str]
) -> None:
    run(terminal, channel_command, "show", "1", *options)
    shown = capsys.readouterr().out
    if options:
        assert (json.loads(shown)["kept"], len(json.loads(shown)["receipts"])) == (["j0"], 2)
    else:
        assert "viz-node jobs resume j0" in shown and "receipts    2" in shown


def test_channel_receipts__file__is_given_as_an_absolute_path(terminal: Terminal, tmp_path: Path) -> None:
    ((operation, params),) = run(terminal, channel_command, "receipts", "1", "--out", str(tmp_path / "r.json"))
    assert (operation, params) == ("channel_receipts", {"channel": 1, "path": str(tmp_path / "r.json")})


def test_generate__metered__tells_price_and_what_is_left(
    terminal: Terminal, capsys: pytest.CaptureFixture[str]
) -> None:
    ((operation, _),) = run(terminal, generate_command, "elsin", "In the year", "--metered")
    shown = capsys.readouterr()
    assert (operation, shown.out) == ("generate_metered", "the answer\n")
    assert shown.err == "paid 0.01 tokens; channel 1 pays for 3 more\n"
