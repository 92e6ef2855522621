"""The page on keeping a node running: its unit is one that systemd takes, its completion completes."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from viz_node.errors import (
    EXIT_STATUS,
    DiskFullError,
    LockedError,
    NotFoundError,
    RefusedError,
    StorageError,
    UsageError,
)

PAGE = (Path(__file__).parents[2] / "docs" / "how-to" / "operate.md").read_text()
PROGRAM = Path(sys.executable).parent / "viz-node"


def _unit() -> str:
    found = re.search(r"```ini\n(.*?)```", PAGE, re.DOTALL)
    assert found is not None
    return found[1]


def test_unit__statuses_that_no_restart_mends__are_those_of_the_program() -> None:
    said = re.search(r"^RestartPreventExitStatus=([\d ]+)$", _unit(), re.MULTILINE)
    classes = (UsageError, RefusedError, NotFoundError, LockedError, StorageError, DiskFullError)
    assert said is not None
    assert {int(number) for number in said[1].split()} == {
        EXIT_STATUS.get(cls, EXIT_STATUS[StorageError]) for cls in classes
    }


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd is not installed")
def test_unit__shown__is_one_that_systemd_takes(tmp_path: Path) -> None:
    unit = tmp_path / "viz-node.service"
    unit.write_text(_unit().replace("%h/viz-node/bin/viz-node", sys.executable).replace("%h", str(tmp_path)))
    done = subprocess.run(["systemd-analyze", "verify", str(unit)], capture_output=True, text=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if "viz-node.service" in line]
    assert complaints == []


@pytest.mark.skipif(not PROGRAM.exists(), reason="the program is not installed here")
@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion__each_shell__names_commands(shell: str) -> None:
    assert "_VIZ_NODE_COMPLETE=bash_source viz-node >" in PAGE

    def run(**variables: str) -> str:
        done = subprocess.run([PROGRAM], env=os.environ | variables, capture_output=True, text=True, check=True)
        return done.stdout

    assert "viz-node" in run(_VIZ_NODE_COMPLETE=f"{shell}_source")
    words = "do" if shell == "fish" else "1"
    assert "doctor" in run(_VIZ_NODE_COMPLETE=f"{shell}_complete", COMP_WORDS="viz-node do", COMP_CWORD=words)
