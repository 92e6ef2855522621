"""Nothing is spent without a yes."""

import io
import json
from pathlib import Path
from typing import Any

import pytest

from viz_node.cli.confirm import may_spend, rounded_up
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


def gas_only(is_test_gas: bool) -> list[dict[str, Any]]:
    return [{"what": "publish", "amount": "", "gas": "0.0001", "consequence": "public", "is_test_gas": is_test_gas}]


@pytest.mark.parametrize("stdin", [io.StringIO(""), Typed("n\n")], ids=["nobody", "person"])
def test_may_spend__only_gas_of_a_development_chain__is_shown_and_not_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], stdin: io.StringIO
) -> None:
    monkeypatch.setattr("sys.stdin", stdin)
    assert may_spend(Terminal(tmp_path), lambda: gas_only(True), yes=False, dry_run=False, is_gas_only=True)
    assert "0.0001" in capsys.readouterr().out
    assert may_spend(Terminal(tmp_path, True), lambda: gas_only(True), yes=False, dry_run=False, is_gas_only=True)
    assert capsys.readouterr().out == ""  # the one JSON document is that of the job


@pytest.mark.parametrize(
    ("plan", "is_gas_only"), [(gas_only(False), True), ([*gas_only(True), *PLAN], True), (gas_only(True), False)]
)
def test_may_spend__more_than_test_gas__needs_a_yes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, plan: list[dict[str, Any]], is_gas_only: bool
) -> None:
    for stdin, said in ((io.StringIO(""), "nobody can be asked"), (Typed("n\n"), "you declined")):
        monkeypatch.setattr("sys.stdin", stdin)
        with pytest.raises(RefusedError, match=said):
            may_spend(Terminal(tmp_path), lambda: plan, yes=False, dry_run=False, is_gas_only=is_gas_only)


def test_may_spend__amount_is_divided__says_who_gets_what(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    part = {"account": "0xaa", "share": "9.7 %", "amount": "0.485", "who": "the seller"}
    plan = [PLAN[0] | {"paid_to": [part] * 10}]
    may_spend(Terminal(tmp_path), lambda: plan, yes=False, dry_run=True)
    shown = capsys.readouterr().out
    assert shown.count("0.485 tokens of it, 9.7 %, to 0xaa, the seller") == 8
    assert "the rest to 2 others" in shown


@pytest.mark.parametrize(
    ("gas", "shown"),
    [
        ("0.000512258672309055", "0.000513"),
        ("0.0001", "0.000100"),
        ("12.341", "12.4"),
        ("1234.5", "1240"),
        ("0", "0"),
        ("", ""),
    ],
)
def test_rounded_up__gas__is_never_less(gas: str, shown: str) -> None:
    assert rounded_up(gas) == shown
