"""A catalogue subscription between real node processes: opened, joined, paid, used, divided, credited and audited."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.test_escrow import plant
from tests.e2e.test_story import ANVIL, RunningNode
from tests.waiting import until_blocking
from viz_node.chain.node.rpc import JsonRpc
from viz_node.daemon.audit import run_full_audit
from viz_node.domain.job import Job, JobState
from viz_node.storage.home import open_home
from viz_node.storage.store import Store
from viz_node.tcp import choose_port

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed: make setup")

DAY, WINDOW = 86_400, 600


@pytest.fixture
def homes() -> Iterator[list[RunningNode]]:
    nodes: list[RunningNode] = []
    yield nodes
    for node in reversed(nodes):
        if node.process.poll() is None:
            node.stop()


def test_pool__three_nodes__fees_reach_the_adapter_and_the_auditor_derives_it(tmp_path: Path, homes) -> None:
    plant(tmp_path / "holder")
    holder = RunningNode(tmp_path / "holder", "--no-sample", "--listen", f"/ip4/127.0.0.1/tcp/{choose_port()}")
    homes.append(holder)
    holder.call("publish", "elsin", "--price", "5.00")
    watcher = RunningNode(tmp_path / "watcher", "--join", str(tmp_path / "holder"))
    reader = RunningNode(tmp_path / "reader", "--join", str(tmp_path / "holder"))
    homes += [watcher, reader]
    rpc = JsonRpc(holder.call("status")["chain"]["rpc_url"])

    def later(seconds: int) -> None:
        rpc.call("evm_increaseTime", seconds)
        rpc.call("evm_mine")

    who = watcher.call("id")
    terms = "--fee", "10.00", "--days", "1", "--grace-hours", "0", "--challenger", f"{who['account']}@{who['peer_id']}"
    assert holder.try_call("pool", "create", "poems", *terms).returncode == 4  # nobody said yes
    assert "never change" in holder.call("pool", "create", "poems", *terms, "--dry-run")[0]["consequence"]
    assert holder.call("pool", "create", "poems", *terms, "--yes")["result"]["pool"] == 1
    watched = until_blocking(lambda: watcher.try_call("pool", "watch", "1").returncode, lambda status: status == 0, 60)
    assert watched == 0
    assert reader.try_call("pool", "watch", "1").returncode == 4  # it names another
    assert watcher.call("pool", "list")[0]["roles"] == ["challenger"]
    assert holder.call("pool", "join", "1", "elsin")["pool"] == 1

    until_blocking(lambda: reader.call("search"), bool, 60, "the listing")
    shown = until_blocking(lambda: reader.try_call("pool", "show", "1").returncode, lambda status: status == 0, 60)
    assert shown == 0
    assert reader.try_call("fetch", "elsin").returncode != 0
    assert reader.try_call("pool", "subscribe", "1", "--max-price", "9.99", "--yes").returncode == 4
    reader.call("pool", "subscribe", "1", "--max-price", "10.00", "--yes")
    reader.call("fetch", "elsin")
    assert [row["name"] for row in reader.call("pool", "show", "1")["members"]] == ["elsin"]
    reader.kill()
    use(tmp_path / "reader", int(rpc.call("eth_getBlockByNumber", "latest", False)["timestamp"], 16))
    reader.start()
    assert [row["my_uses"] for row in reader.call("pool", "show", "1")["members"]] == [1]

    later(DAY)
    until_blocking(lambda: watcher.call("pool", "show", "1")["roots"], bool, 60, "the posted root")
    later(WINDOW)
    until_blocking(lambda: state(holder), lambda state: state == "adopted", 60, "the adoption")
    assert holder.call("royalties")["in_pools"] == "10.00"
    # 97 percent of ten tokens: 7.00 for the adapter, and the reserve, which is the same account's here.
    assert holder.call("royalties", "claim", "--yes")["result"]["claimed"] == "9.70"

    data = tmp_path / "data"
    assert len(watcher.call("pool", "data", "1", "--out", str(data))["files"]) == 1
    report, _ = run_full_audit([rpc.url], tmp_path / "holder" / "chain" / "deployment.json", None, "latest", [data])
    assert report.findings == ()
    assert not any("roots of pools" in note for note in report.notes)


def state(node: RunningNode) -> str:
    return str(node.call("pool", "show", "1")["roots"][-1]["state"])


def use(home: Path, time: int) -> None:
    """A finished use, as the model leaves it, without a base model."""
    with open_home(home):
        order = {"adapter": "elsin", "prompt": "Once", "max_new_tokens": 9}
        job = Job("ab" * 8, "generate", JobState.DONE, order, 0, 0, result={"text": "upon", "chain_time": time})
        Store(home / "node.db").jobs.save_job(job)
