"""What the market may take is shown as it is, and taken back once, killed at any call."""

from pathlib import Path

import pytest

from tests.fakes.world import Fuse, Member, World, every_fuse
from viz_node.domain.answer import as_json
from viz_node.domain.ids import format_coin
from viz_node.domain.job import JobState

LEFT = 5_000_000
REVOKE = ("revoke", {"name": "allowance"})


def peer_with(directory: Path, left: int) -> Member:
    world = World(directory)
    peer = world.node("peer", 2 * LEFT)
    world.chain.state.allowed[peer.keys.account] = left
    return peer


@pytest.mark.parametrize(("left", "shown"), [(0, "0.00"), (LEFT, "5.00"), (2**256 - 1, "unlimited")])
async def test_show__any_amount__as_it_is(tmp_path: Path, left: int, shown: str) -> None:
    peer = peer_with(tmp_path, left)
    assert as_json(await peer.allowances.show()) == {"account": peer.keys.account, "allowance": shown}


async def test_revocation__says_what_it_costs_and_does_nothing(tmp_path: Path) -> None:
    peer = peer_with(tmp_path, LEFT)
    (row,) = as_json(await peer.allowance_plans.revocation())
    assert (row["what"], row["amount"]) == ("take back the allowance of 5.00 tokens", "")
    assert row["gas"] == format_coin(46_000 * 100)
    assert peer.world.chain.state.allowed[peer.keys.account] == LEFT
    assert await peer_with(tmp_path / "none", 0).allowance_plans.revocation() == []


async def test_revoke__nothing_is_allowed__sends_nothing(tmp_path: Path) -> None:
    peer = peer_with(tmp_path, 0)
    (job,) = await peer.live(REVOKE)
    assert job.result == {"allowance": "0.00", "tx_hash": ""}
    assert peer.world.chain.nonces == {}


async def test_revoke__killed_at_every_call__is_taken_back_once(tmp_path: Path) -> None:
    fuse, counted = Fuse(), peer_with(tmp_path / "count", LEFT)
    counted.start(fuse)
    await counted.live(REVOKE)
    for number, deadly in enumerate(every_fuse(len(fuse.calls))):
        peer = peer_with(tmp_path / str(number), LEFT)
        peer.start(deadly)
        for job in await peer.survive(REVOKE):
            assert (job.state, job.result["allowance"]) == (JobState.DONE, "0.00"), deadly.calls[-1]
            assert peer.world.chain.nonces == {peer.keys.account: 1}
            assert job.result["tx_hash"]
