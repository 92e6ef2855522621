"""The first `viz-node start --dev`: killed in its training, started again, one sample published once."""

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.waiting import until_blocking
from viz_node.daemon.audit import run_audit
from viz_node.daemon.config import ANVIL

SAMPLE = "sample-harbour"
LIMIT_SECONDS = 1800  # three minutes on two free cores; tests often share theirs, on hosts that share them too

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed: make setup")]


class Node:
    """One home, started as often as the test wants."""

    def __init__(self, home: Path) -> None:
        self.home = home
        self.log = home.with_suffix(".log")

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen([*self.command(), "start", "--dev"], stdout=log, stderr=log)
        self.call("wait", "--timeout", "60")

    def command(self) -> list[str]:
        return [sys.executable, "-m", "viz_node.cli", "--home", str(self.home)]

    def call(self, *arguments: str) -> Any:
        done = subprocess.run([*self.command(), *arguments, "--json"], capture_output=True, check=False, timeout=120)
        assert done.returncode == 0, (arguments, done.stderr.decode())
        return json.loads(done.stdout)

    def end(self, number: int) -> None:
        if self.process.poll() is None:
            self.process.send_signal(number)
        self.process.wait(30)


@pytest.fixture
def node(tmp_path: Path) -> Iterator[Node]:
    made = Node(tmp_path / "home")
    made.start()
    yield made
    made.end(signal.SIGTERM)


def test_first_start__killed_in_training__publishes_one_sample_once(node: Node, built_bases: Path) -> None:
    until_blocking(
        lambda: node.call("jobs", "list"),
        lambda jobs: any(job["kind"] == "train" and job["progress"].get("phase") == "train" for job in jobs),
        LIMIT_SECONDS,
    )
    node.end(signal.SIGKILL)
    node.start()
    until_blocking(node.log.read_text, lambda text: "Try it in another terminal" in text, LIMIT_SECONDS)

    (found,) = node.call("search")
    assert (found["name"], found["price"]) == (SAMPLE, "1.00")
    shutil.copytree(node.home / "bases", built_bases, dirs_exist_ok=True)
    jobs = node.call("jobs", "list")
    assert sorted((job["kind"], job["state"]) for job in jobs) == [
        ("base_install", "done"),
        ("publish", "done"),
        ("train", "done"),
    ]
    trained = next(job for job in jobs if job["kind"] == "train")["result"]["evaluation"]
    assert float(trained["perplexity_after"]) < float(trained["perplexity_before"]) / 2
    report = run_audit(node.call("status")["chain"]["rpc_url"], node.home / "chain" / "deployment.json", None)
    assert report.ok
    assert (report.counts["adapters"], report.counts["offers"]) == (1, 1)

    node.end(signal.SIGTERM)
    node.start()
    assert len(node.call("jobs", "list")) == 3
