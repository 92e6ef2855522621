"""Fair delivery between real node processes: the seller is killed before it delivers; the rest happens by itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.bases import KNOWN_BASE
from tests.e2e.test_story import ANVIL, RunningNode
from tests.unit.models.test_adapter_files import good_tensors, pack
from tests.waiting import until_blocking
from viz_node.chain.node.rpc import JsonRpc
from viz_node.domain.records import AdapterRecord
from viz_node.models.adapter_files import CONFIG_NAME, WEIGHTS_NAME, config_bytes
from viz_node.storage.home import open_home
from viz_node.storage.store import Store
from viz_node.tcp import choose_port

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed: make setup")

LATER = 601


@pytest.fixture
def homes() -> Iterator[list[RunningNode]]:
    nodes: list[RunningNode] = []
    yield nodes
    for node in reversed(nodes):
        if node.process.poll() is None:
            node.stop()


def plant(home: Path) -> None:
    """An adapter as training leaves it, without the training."""
    with open_home(home):
        folder = home / "adapters" / "elsin"
        folder.mkdir(parents=True)
        (folder / CONFIG_NAME).write_bytes(config_bytes(4, 8, ["up_proj", "q_proj"], "viz-base-small"))
        (folder / WEIGHTS_NAME).write_bytes(pack(good_tensors()))
        Store(home / "node.db").adapters.save_adapter(
            AdapterRecord("elsin", None, "small", "ab" * 32, str(folder), "trained", training=KNOWN_BASE)
        )


def test_escrow__seller_killed_before_the_delivery__key_and_money_arrive_by_themselves(tmp_path: Path, homes) -> None:
    plant(tmp_path / "holder")
    # Peers find it at the same address after the restart.
    holder = RunningNode(tmp_path / "holder", "--no-sample", "--listen", f"/ip4/127.0.0.1/tcp/{choose_port()}")
    homes.append(holder)
    holder.call("publish", "elsin", "--price", "5.00", "--license", "subscription")
    peer = RunningNode(tmp_path / "peer", "--join", str(tmp_path / "holder"))
    homes.append(peer)
    until_blocking(lambda: peer.call("search"), bool, 60, "the listing")
    assert peer.try_call("license", "elsin", "--max-price", "6.00").returncode == 4  # nobody said yes
    plan = peer.call("license", "elsin", "--max-price", "6.00", "--dry-run")
    assert [row["amount"] for row in plan] == ["5.00"]
    assert "comes back" in plan[0]["consequence"]
    assert sorted(part["amount"] for part in plan[0]["paid_to"]) == ["0.15", "4.85"]

    bought = peer.call("license", "elsin", "--max-price", "6.00", "--yes")
    assert bought["result"]["state"] == "ordered"
    holder.kill()
    holder.start()
    until_blocking(lambda: peer.try_call("fetch", "elsin").returncode, lambda status: status == 0, 40, "the fetch")
    earned = holder.call("royalties")
    assert (earned["due"], earned["in_escrow"]) == ("0.00", "4.85")

    rpc = JsonRpc(holder.call("status")["chain"]["rpc_url"])
    rpc.call("evm_increaseTime", LATER)  # nobody makes a block: the idle chain itself goes on
    until_blocking(lambda: holder.call("royalties")["due"], lambda due: due == "4.85", 60, "the settlement")
    assert peer.call("license", "renew", "elsin", "--max-price", "5.00", "--yes")["result"]["paid"] == "5.00"
    told = holder.call("royalties", "statement")
    assert [(row["what"], row["earned"]) for row in told] == [("delivered and settled", "4.85"), ("sold", "4.85")]

    holder.call("pricing", "set", "elsin", "--price", "7.00", "--ceiling", "7.70", "--target", "20")
    priced = peer.call("pricing", "show", "elsin")
    assert [row["is_open"] for row in priced["offers"]] == [True, False]
    assert [(row["outcome"], row["paid"], row["matches"]) for row in priced["sales"]] == [
        ("settled", "5.00", True),
        ("sold", "5.00", True),
    ]
    (held,) = peer.call("license", "list")
    assert (held["state"], held["paid"], held["order_state"]) == ("held", "10.00", "settled")
    assert holder.call("license", "list", "--sold") == [held]
    (tmp_path / "complaint.txt").write_text("These works are mine.")
    peer.call("notice", "file", "elsin", str(tmp_path / "complaint.txt"), "--yes")
    (notice,) = holder.call("notice", "show", "elsin")
    holder.call("notice", "counter", "elsin", str(notice["notice"]), str(tmp_path / "complaint.txt"), "--yes")
    assert [row["answers"] for row in peer.call("notice", "show", "elsin")] == [None, notice["notice"]]
    holder.call("withdraw", "elsin", "--yes")
    assert peer.try_call("license", "elsin", "--max-price", "8.00", "--yes").returncode != 0
    assert peer.stop() == 0
    assert holder.stop() == 0
