"""The quick benchmark programs print their figures; no figure is judged here, machines differ."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]


def run(program: str, *arguments: str) -> str:
    command = [sys.executable, str(ROOT / "benchmarks" / program), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout


def rows(program: str, *arguments: str) -> list[dict[str, Any]]:
    body = json.loads(run(program, *arguments, "--json"))
    assert body["machine"]["load_average"]
    found: list[dict[str, Any]] = body["rows"]
    return found


def test_gas__snapshots__every_comparison_has_our_figure() -> None:
    table = rows("gas.py", "--all")

    assert all(row["viz-node"] > 21_000 for row in table)
    assert {"sale, 1000 recipients", "renewal", "claim, 1000 recipients"} <= {row["transaction"] for row in table}


def test_gas__without_json__table_with_the_machine() -> None:
    lines = run("gas.py").strip().splitlines()

    assert lines[1].split()[0] == "transaction"
    assert "load average" in lines[-1]


def test_startup__help_only__ratio_of_its_own_two_figures() -> None:
    yardstick, own, ratio = rows("startup.py", "--runs", "3", "--starts", "0")

    assert ratio["value"] == pytest.approx(own["value"] / yardstick["value"])


@pytest.mark.slow
def test_transfer__one_megabyte__every_row_arrives_intact() -> None:
    table = rows("transfer.py", "--megabytes", "1", "--rounds", "1")

    assert [row["transfer"] for row in table] == ["raw socket", "aiohttp", "libp2p defaults", "viz-node"]
    assert all(row["MB/s"] > 0 for row in table)


@pytest.mark.slow
def test_audit__one_block_of_entries__its_speed_and_that_of_its_parts() -> None:
    few = ("--entries", "400", "--new", "400", "--runs", "1", "--without-web3")
    whole, *stages, since, later = rows("audit.py", *few)

    assert whole["entries"] > 400
    assert whole["entries/s"] == pytest.approx(whole["entries"] / whole["seconds"])
    assert {"conclude: all of the next four", "report"} < {row["stage"] for row in stages}
    assert (since["reader"], whole["entries"] + since["entries"]) == ("viz-node audit --since", later["entries"])
