"""The whole story with real processes: killed in mid-training and in mid-purchase, and nothing is paid twice."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from viz_node.daemon.audit import run_audit

ANVIL = Path(__file__).parents[2] / "contracts/node_modules/@foundry-rs/anvil-linux-amd64/bin/anvil"
RECIPIENT = "0x00000000000000000000000000000000000000aa"

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed: make setup")


class RunningNode:
    """A node in its own process group, as a user starts it."""

    def __init__(self, home: Path, *options: str) -> None:
        self.home, self.options = home, options
        self.start()

    def start(self) -> None:
        with (self.home.parent / f"{self.home.name}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [*self.command(), "start", "--dev", *self.options], stdout=log, stderr=log, start_new_session=True
            )
        self.call("wait", "--timeout", "60")

    def command(self) -> list[str]:
        return [sys.executable, "-m", "viz_node.cli", "--home", str(self.home)]

    def try_call(self, *arguments: str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([*self.command(), *arguments, "--json"], capture_output=True, check=False, timeout=600)

    def call(self, *arguments: str):
        done = self.try_call(*arguments)
        assert done.returncode == 0, (arguments, done.stdout.decode(), done.stderr.decode())
        return json.loads(done.stdout or b"null")

    def kill(self) -> None:
        os.kill(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(20)

    def until(self, job_id: str, is_reached) -> dict:
        deadline = time.monotonic() + 300
        while True:
            job = self.call("jobs", "show", job_id)
            if is_reached(job):
                return job
            assert time.monotonic() < deadline, job
            time.sleep(0.05)


@pytest.fixture
def homes(tmp_path: Path) -> Iterator[list[RunningNode]]:
    nodes: list[RunningNode] = []
    yield nodes
    for node in reversed(nodes):
        if node.process.poll() is None:
            node.stop()


def write_works(folder: Path) -> None:
    folder.mkdir()
    for number in range(8):
        lines = [
            f"In year {number + line} the keeper of Elsin counted {line} lamps and {number} bells."
            for line in range(60)
        ]
        blocks = [" ".join(lines[start : start + 6]) for start in range(0, 60, 6)]
        (folder / f"work{number}.txt").write_text("\n\n".join(blocks))


def test_story__killed_in_training_and_in_purchase__finishes_and_pays_once(tmp_path: Path, homes) -> None:
    write_works(tmp_path / "works")
    (tmp_path / "works" / "broken.pdf").write_bytes(b"not a pdf")
    holder = RunningNode(tmp_path / "holder", "--no-sample")
    homes.append(holder)
    added = holder.call("content", "add", str(tmp_path / "works"), "--rights", "owned", "--author", "Elsin")
    assert len(added["added"]) == 8
    assert len(added["refused"]) == 1
    holder.call("base", "build")

    job_id = holder.call("train", "elsin", "--content", "all", "--detach")["job_id"]
    holder.until(job_id, lambda job: job["progress"].get("phase") == "train")
    holder.kill()
    holder.start()
    trained = holder.until(job_id, lambda job: job["state"] not in {"queued", "running"})
    assert trained["state"] == "done", trained
    evaluation = trained["result"]["evaluation"]
    assert float(evaluation["perplexity_after"]) < float(evaluation["perplexity_before"])

    account = holder.call("id")["account"]
    bad_split = holder.try_call("publish", "elsin", "--price", "5.00", "--split", f"{account}=70,{RECIPIENT}=20")
    assert bad_split.returncode == 2
    holder.call("publish", "elsin", "--price", "5.00", "--split", f"{account}=70,{RECIPIENT}=30")
    assert [row["price"] for row in holder.call("search")] == ["5.00"]

    peer = RunningNode(tmp_path / "peer", "--join", str(tmp_path / "holder"))
    homes.append(peer)
    deadline = time.monotonic() + 60
    while not peer.call("search"):
        assert time.monotonic() < deadline
        time.sleep(0.2)
    assert peer.try_call("fetch", "elsin").returncode == 4
    assert peer.try_call("license", "elsin", "--max-price", "4.99").returncode == 4

    order = peer.call("license", "elsin", "--max-price", "6.00", "--detach")["job_id"]
    peer.kill()
    peer.start()
    bought = peer.until(order, lambda job: job["state"] not in {"queued", "running"})
    assert bought["state"] == "done", bought
    peer.call("license", "elsin", "--max-price", "6.00")
    assert peer.call("status")["balances"]["token"] == "995.00"
    peer.call("fetch", "elsin")
    assert peer.call("generate", "elsin", "In year")["result"]["text"]

    assert holder.call("royalties")["due"] == "3.50"
    holder.call("royalties", "claim")
    chain = holder.call("status")["chain"]
    report = run_audit(chain["rpc_url"], tmp_path / "holder" / "chain" / "deployment.json", None)
    assert report.ok
    assert [sale.price for sale in report.sales] == [5_000_000]
    assert {total.account: total.earned for total in report.totals} == {account: 3_500_000, RECIPIENT: 1_500_000}

    second = subprocess.run([*holder.command(), "start", "--dev"], capture_output=True, check=False, timeout=60)
    assert second.returncode == 9
    assert peer.stop() == 0
    assert holder.stop() == 0
