"""Nothing is spent without a yes."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from viz_node.cli.confirm import may_spend
from viz_node.cli.terminal import Terminal
from viz_node.errors import RefusedError

PLAN = [{"what": "license ab", "amount": "5.00", "gas": "0.0001", "consequence": "cannot be given back"}]


class Typed(io.StringIO):
    """What a person types at a terminal."""

    def isatty(self) -> bool:
        return True


def planned(calls: list[int]) -> list[dict[str, Any]]:
    calls.append(1)
    return list(PLAN)


@pytest.mark.parametrize(("answer", "agrees"), [("y\n", True), ("n\n", False), ("\n", False)])
def test_may_spend__person_at_the_terminal__sees_the_table_and_decides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], answer: str, agrees: bool
) -> None:
    monkeypatch.setattr("sys.stdin", Typed(answer))
    if agrees:
        assert may_spend(Terminal(tmp_path), lambda: PLAN, yes=False, dry_run=False) is True
    else:
        with pytest.raises(RefusedError, match="nothing was spent"):
            may_spend(Terminal(tmp_path), lambda: PLAN, yes=False, dry_run=False)
    shown = capsys.readouterr().out
    assert all(word in shown for word in ("5.00", "0.0001", "cannot be given back"))


@pytest.mark.parametrize("is_json", [False, True])
def test_may_spend__nobody_to_ask__refused_before_the_plan(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_json: bool
) -> None:
    calls: list[int] = []
    monkeypatch.setattr("sys.stdin", Typed("y\n") if is_json else io.StringIO("y\n"))
    with pytest.raises(RefusedError, match="nobody can be asked") as caught:
        may_spend(Terminal(tmp_path, is_json), lambda: planned(calls), yes=False, dry_run=False)
    assert "--yes" in caught.value.hint
    assert calls == []


def test_may_spend__yes__does_not_ask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    assert may_spend(Terminal(tmp_path), lambda: PLAN, yes=True, dry_run=False) is True


@pytest.mark.parametrize("yes", [False, True])
def test_may_spend__dry_run__shows_the_plan_and_never_goes_on(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], yes: bool
) -> None:
    assert may_spend(Terminal(tmp_path, is_json=True), lambda: PLAN, yes=yes, dry_run=True) is False
    assert json.loads(capsys.readouterr().out) == PLAN
