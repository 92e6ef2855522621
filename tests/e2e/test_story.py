"""The whole story with real processes: killed in training, at every stage of a purchase, in a fetch, and paid once."""

import contextlib
import json
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.waiting import until_blocking
from viz_node.daemon.audit import run_audit
from viz_node.daemon.config import ANVIL
from viz_node.domain.records import DONE_OUTBOX_STATES
from viz_node.storage.home import open_home

RECIPIENT = "0x" + "aa" * 20

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
        return subprocess.run([*self.command(), *arguments, "--json"], capture_output=True, check=False, timeout=1800)

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
        return until_blocking(lambda: self.call("jobs", "show", job_id), is_reached, 1800, "the job")

    def killed_during(self, moment, *arguments: str) -> dict:
        """Give the order, kill the node at the `moment`, start it again; the order's job when it has ended."""
        before = {job["job_id"] for job in self.call("jobs", "list")}
        order = subprocess.Popen([*self.command(), *arguments, "--detach"], stdout=subprocess.DEVNULL)
        until_blocking(moment, bool, 60, str(arguments), pause_seconds=0)
        self.kill()
        order.wait(60)
        self.start()
        (job_id,) = {job["job_id"] for job in self.call("jobs", "list")} - before
        return self.until(job_id, has_ended)

    def outbox(self) -> list[tuple[str, str]]:
        """Kind and state of every transaction, as they stand on the disk."""
        with contextlib.closing(sqlite3.connect(f"file:{self.home / 'node.db'}?mode=ro", uri=True)) as database:
            return database.execute("SELECT kind, state FROM outbox ORDER BY rowid").fetchall()


def has_ended(job: dict) -> bool:
    return job["state"] not in {"queued", "running"}


def purchase_moments(node: RunningNode) -> dict:
    """Where to kill a purchase: each is reached by the purchase that is about to be ordered."""
    earlier, in_a_block = len(node.outbox()), ("mined", *DONE_OUTBOX_STATES)

    def is_reached(kind: str, *states: str) -> bool:
        return any(row[0] == kind and row[1] in states for row in node.outbox()[earlier:])

    return {
        "purchase in the outbox": lambda: is_reached("buy", "signed", "sent", *in_a_block),
        "purchase sent": lambda: is_reached("buy", "sent", *in_a_block),
        "purchase in a block": lambda: is_reached("buy", *in_a_block),
    }


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


def test_story__killed_in_training_and_at_every_stage_of_purchases__pays_each_once(
    tmp_path: Path, homes, built_bases: Path
) -> None:
    write_works(tmp_path / "works")
    (tmp_path / "works" / "broken.pdf").write_bytes(b"not a pdf")
    with open_home(tmp_path / "holder"):
        shutil.copytree(built_bases, tmp_path / "holder" / "bases", dirs_exist_ok=True)
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
    trained = holder.until(job_id, has_ended)
    assert trained["state"] == "done", trained
    evaluation = trained["result"]["evaluation"]
    assert float(evaluation["perplexity_after"]) < float(evaluation["perplexity_before"])

    account = holder.call("id")["account"]
    bad_split = holder.try_call("publish", "elsin", "--price", "5.00", "--split", f"{account}=70,{RECIPIENT}=20")
    assert bad_split.returncode == 2
    terms = ("--price", "5.00", "--split", f"{account}=70,{RECIPIENT}=30", "--license", "subscription", "--direct")
    holder.call("publish", "elsin", *terms)
    assert [row["price"] for row in holder.call("search")] == ["5.00"]

    peer = RunningNode(tmp_path / "peer", "--join", str(tmp_path / "holder"))
    homes.append(peer)
    until_blocking(lambda: peer.call("search"), bool, 60, "the listing")
    assert peer.try_call("fetch", "elsin").returncode == 4
    assert peer.try_call("license", "elsin", "--max-price", "4.99", "--yes").returncode == 4

    for name in purchase_moments(peer):
        bought = peer.killed_during(purchase_moments(peer)[name], "license", "elsin", "--max-price", "6.00", "--yes")
        assert bought["state"] == "done", (name, bought)
    assert [kind for kind, _ in peer.outbox()] == ["buy"] * 3  # no approvals: permits travel with the purchases
    assert {state for _, state in peer.outbox()} <= set(DONE_OUTBOX_STATES)
    sealed, folder = peer.home / "bundles" / "elsin", peer.home / "adapters"
    fetched = peer.killed_during(lambda: any(sealed.glob("*.sealed*")), "fetch", "elsin")
    assert fetched["state"] == "done", fetched
    assert not (folder / ".elsin.partial").exists()
    assert peer.call("generate", "elsin", "In year")["result"]["text"]

    assert holder.call("royalties")["due"] == "10.185"
    holder.call("royalties", "claim")
    chain = holder.call("status")["chain"]
    report = run_audit(chain["rpc_url"], tmp_path / "holder" / "chain" / "deployment.json", None)
    assert report.ok
    assert [sale.price for sale in report.sales] == [5_000_000] * 3
    earned = {total.account: total.earned for total in report.totals}
    assert (earned.pop(account), earned.pop(RECIPIENT)) == (10_185_000, 4_365_000)
    assert list(earned.values()) == [450_000]  # the platform's three percent

    second = subprocess.run([*holder.command(), "start", "--dev"], capture_output=True, check=False, timeout=60)
    assert second.returncode == 9
    assert peer.stop() == 0
    assert holder.stop() == 0
