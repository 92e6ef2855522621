import json
import sys
from pathlib import Path

import pytest

from viz_node.cli.commands.simulate import NAMES
from viz_node.cli.main import run
from viz_node.economics.run import EXPERIMENTS


def simulate(*arguments: str) -> int:
    return run(["simulate", *arguments, "--repeats", "2"])


def test_simulate__names__are_those_of_the_experiments() -> None:
    assert tuple(EXPERIMENTS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_simulate__json__names_the_files_that_it_wrote(
    name, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert simulate(name, "--out", str(tmp_path), "--json") == 0

    body = json.loads(capsys.readouterr().out)
    written = {Path(path).name for path in body["files"]}
    assert written == {path.name for path in tmp_path.iterdir()}
    assert {f"{table}.csv" for table in body["tables"]} <= written
    assert {Path(name).suffix for name in written} == {".csv", ".md", ".json", ".png", ".svg"}


def test_simulate__same_seed__prints_tables_and_writes_same_bytes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for folder in ("one", "two"):
        assert simulate("fraud", "--out", str(tmp_path / folder)) == 0
        shown = capsys.readouterr().out
        assert "Profit of the bots' owner" in shown
        assert "ScaledUserProp" in shown

    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name


def test_simulate__plots_not_installed__says_what_to_install(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(sys.modules, "viz_node.economics.plots", raising=False)
    monkeypatch.delattr("viz_node.economics.plots", raising=False)
    monkeypatch.setitem(sys.modules, "matplotlib", None)

    assert simulate("fraud", "--out", str(tmp_path)) == 2
    told = capsys.readouterr().err
    assert "matplotlib is not installed" in told
    assert "economics]'" in told


def test_simulate__folder_that_is_a_file__refused_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    (tmp_path / "taken").write_text("")

    assert simulate("fraud", "--out", str(tmp_path / "taken" / "below")) == 2
    assert "choose another folder" in capsys.readouterr().err
