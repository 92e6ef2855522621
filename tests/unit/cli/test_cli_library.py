"""What people see of the library: `adapters` alone lists it, and a model that writes nothing is told."""

from pathlib import Path
from typing import Any

import pytest

from viz_node.cli.commands.library import adapters_command, generate_command
from viz_node.cli.commands.training import print_trained
from viz_node.cli.terminal import Terminal


class Answering:
    """The node."""

    def call_list(self, operation: str) -> list[dict[str, Any]]:
        assert operation == "adapters_list"
        return [{"name": "elsin", "adapter_id": None, "base": "small", "origin": "trained", "state": "private"}]

    def call(self, operation: str, **_asked: Any) -> dict[str, Any]:
        assert operation == "generate"
        return {"job_id": "j1"}


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    shown = Terminal(tmp_path)
    shown.__dict__["client"] = Answering()
    return shown


def test_adapters__alone__lists_as_list_does(terminal: Terminal, capsys: pytest.CaptureFixture[str]) -> None:
    adapters_command.main([], obj=terminal, standalone_mode=False, help_option_names=["-h", "--help"])
    alone = capsys.readouterr().out
    adapters_command.main(["list"], obj=terminal, standalone_mode=False, help_option_names=["-h", "--help"])
    assert "elsin" in alone and "private" in alone
    assert alone == capsys.readouterr().out


@pytest.mark.parametrize(("text", "is_told"), [("", True), (" \n", True), ("and so on", False)])
def test_generate__empty_answer__says_that_the_model_ended_at_once(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, is_told: bool
) -> None:
    monkeypatch.setattr(Terminal, "run_job", lambda *_, **__: {"job_id": "j1", "result": {"text": text}})
    generate_command.main(
        ["elsin", "The end."], obj=terminal, standalone_mode=False, help_option_names=["-h", "--help"]
    )
    assert ("ended at once" in capsys.readouterr().err) is is_told


@pytest.mark.parametrize("left_out", ["", "mlp.experts.down_proj 28.4 % (not a linear layer)"])
def test_print_trained__adapted_in_part__says_so(
    terminal: Terminal, capsys: pytest.CaptureFixture[str], left_out: str
) -> None:
    training = {"adapted_percent": "71.6"} | ({"not_adapted": left_out} if left_out else {})
    print_trained(terminal, {"result": {"training": training}}, "elsin")
    shown = " ".join(capsys.readouterr().out.split())
    assert ("71.6 % of the weights" in shown) is bool(left_out)
    assert left_out in shown
