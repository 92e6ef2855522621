"""What people see of the library: `adapters` alone lists it, and a model that writes nothing is told."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from viz_node.cli import printer
from viz_node.cli.commands.library import adapters_command, generate_command, said
from viz_node.cli.commands.training import print_trained
from viz_node.cli.terminal import Terminal
from viz_node.errors import UsageError

QUESTION = {"role": "user", "content": "Who?"}


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


@pytest.mark.parametrize("told", ["In the year two, it rained.", "another text altogether"])
def test_generate__person_at_a_terminal__sees_each_piece_once_and_then_the_rest(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], told: str
) -> None:
    class Telling(Answering):
        def stream(self, operation: str, **params: Any) -> Iterator[dict[str, Any]]:
            assert (operation, params) == ("generate_follow", {"job": "j1"})
            yield from ({"text": "In the "}, {"text": "year\x1b[2J"}, {"text": " two,"})

        def call(self, operation: str, **params: Any) -> Any:
            return {"job_id": "j1"}

    terminal.__dict__["client"] = Telling()
    monkeypatch.setattr(printer, "is_terminal", lambda: True)
    terminal.output.has_live_progress = True
    result = {"text": told}
    monkeypatch.setattr(Terminal, "run_job", lambda *_, **__: {"job_id": "j1", "result": result})
    generate_command.main(["elsin", "Once"], obj=terminal, standalone_mode=False)
    shown = capsys.readouterr().out
    assert shown.startswith("In the year\N{REPLACEMENT CHARACTER}[2J two,")
    # What was shown is not how this text begins: it is shown as a whole.
    assert shown.endswith(f"\n{told}\n")


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (["--chat"], [QUESTION]),
        (["--chat", "--system", "Be short."], [{"role": "system", "content": "Be short."}, QUESTION]),
    ],
)
def test_generate__chat__messages_in_place_of_the_prompt(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch, words: list[str], messages: list[dict[str, str]]
) -> None:
    asked: list[dict[str, Any]] = []

    class Hearing(Answering):
        def call(self, operation: str, **params: Any) -> Any:
            asked.append(params)
            return {"job_id": "j1"}

    terminal.__dict__["client"] = Hearing()
    monkeypatch.setattr(Terminal, "run_job", lambda *_, **__: {"job_id": "j1", "result": {"text": "Nobody."}})
    generate_command.main(["elsin", "Who?", *words], obj=terminal, standalone_mode=False)
    assert (asked[0]["prompt"], asked[0]["messages"]) == ("", messages)


def test_said__messages_before__read_from_a_file_or_refused(tmp_path: Path) -> None:
    path, before = tmp_path / "before.json", [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]
    path.write_text(json.dumps(before))
    assert said(True, None, path, "c") == {"prompt": "", "messages": [*before, {"role": "user", "content": "c"}]}
    assert said(False, None, None, "c") == {"prompt": "c"}
    for text, says in (("{}", "no list of messages"), ("[", "is not JSON"), ("[" * 90_000, "is not JSON")):
        path.write_text(text)
        with pytest.raises(UsageError, match=says):
            said(True, None, path, "c")
    for asked in ((False, "x", None), (False, None, path), (True, None, tmp_path / "none.json")):
        with pytest.raises(UsageError):
            said(*asked, "c")
