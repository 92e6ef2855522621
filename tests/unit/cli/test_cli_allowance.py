"""What people see of the market's allowance, and that it is not taken back without a yes."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from viz_node.cli.commands.allowance import allowance_command
from viz_node.cli.terminal import Terminal
from viz_node.errors import RefusedError

ANSWER = {"account": "0xacc", "market": "0xmar", "allowance": "5.00"}
PLAN = [{"what": "take back the allowance of 5.00 tokens", "amount": "", "gas": "0.001", "consequence": "x",
         "is_test_gas": False}]  # fmt: skip
JOB = {"job_id": "j1", "kind": "revoke", "state": "done", "progress": {}, "error": ""}


class Answering:
    def __init__(self, allowance: str) -> None:
        self.asked: list[str] = []
        self._allowance = allowance

    def call(self, operation: str, **_params: Any) -> Any:
        self.asked.append(operation)
        tx_hash = "" if self._allowance == "0.00" else "0xabc"
        job = JOB | {"result": {"allowance": "0.00", "tx_hash": tx_hash}}
        return ANSWER | {"allowance": self._allowance} if operation == "allowance" else job

    def call_list(self, operation: str, **_params: Any) -> Any:
        self.asked.append(operation)
        return [] if self._allowance == "0.00" else PLAN


def run(node: Answering, tmp_path: Path, *arguments: str) -> None:
    terminal = Terminal(tmp_path)
    terminal.__dict__["client"] = node
    allowance_command.main(
        args=list(arguments), obj=terminal, standalone_mode=False, help_option_names=["-h", "--help"]
    )


def test_allowance__something_left__amount_with_unit_and_the_way_to_take_it_back(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(Answering("5.00"), tmp_path)
    shown = capsys.readouterr().out
    assert "the market 0xmar may take 5.00 tokens from 0xacc" in shown
    assert "allowance revoke" in shown
    run(Answering("0.00"), tmp_path)
    assert "revoke" not in capsys.readouterr().out
    run(Answering("5.00"), tmp_path, "--json")
    assert json.loads(capsys.readouterr().out) == ANSWER


def test_revoke__dry_run_and_no_yes__nothing_is_ordered(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    node = Answering("5.00")
    run(node, tmp_path, "revoke", "--dry-run")
    assert "take back the allowance of 5.00 tokens" in capsys.readouterr().out
    with pytest.raises(RefusedError):
        run(node, tmp_path, "revoke")
    assert "allowance_revoke" not in node.asked


@pytest.mark.parametrize(("left", "said"), [("5.00", "0xabc"), ("0.00", "the market may take nothing already")])
def test_revoke__yes__is_done_and_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], left: str, said: str
) -> None:
    node = Answering(left)
    run(node, tmp_path, "revoke", "--yes")
    assert "allowance_revoke" in node.asked
    assert said in capsys.readouterr().out
