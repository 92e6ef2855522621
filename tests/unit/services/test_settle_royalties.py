"""What is due is claimed once, whatever kills the node, and whoever else claims it."""

from pathlib import Path

from tests.fakes.chain import MemoryCall, MemoryMarket, MemorySender
from tests.fakes.world import Fuse, Member, World, every_fuse
from viz_node.domain.ids import Account
from viz_node.domain.job import JobState
from viz_node.services.settle_royalties import Royalties


async def earned(directory: Path) -> tuple[World, Member]:
    """A holder with one sale of each of two adapters; three percent of each are the platform's."""
    world = World(directory)
    holder, peer = world.node("holder"), world.node("peer", 100_000_000)
    for name in ("one", "two"):
        adapter_id = await holder.sell(name)
        peer.hear()
        await peer.live(("license", {"adapter": adapter_id, "max_price": 5_000_000}))
    return world, holder


async def test_show__two_sales__due_in_all_and_each_sale(tmp_path: Path) -> None:
    _, holder = await earned(tmp_path)
    shown = await holder.royalties.show()
    assert (shown["due"], len(shown["rows"]), [sale["price"] for sale in shown["sales"]]) == ("9.70", 2, ["5.00"] * 2)


async def test_claim__killed_at_every_call__is_paid_in_full_and_once(tmp_path: Path) -> None:
    fuse = Fuse()
    _, counted = await earned(tmp_path / "count")
    counted.start(fuse)
    await counted.live(("claim", {}))
    for number, deadly in enumerate(every_fuse(len(fuse.calls))):
        _, holder = await earned(tmp_path / str(number))
        holder.start(deadly)
        jobs = [job for job in await holder.survive(("claim", {})) if job.kind == "claim"]
        if jobs:
            assert (jobs[0].state, holder.tokens) == (JobState.DONE, 9_700_000), (deadly.calls[-1], jobs)


async def test_claim__later_sales__are_claimed_by_the_next(tmp_path: Path) -> None:
    world, holder = await earned(tmp_path)
    await holder.live(("claim", {}))
    other = world.node("other", 5_000_000)
    other.hear()
    await other.live(("license", {"adapter": "one", "max_price": 5_000_000}))
    job = next(job for job in await holder.live(("claim", {})) if job.result.get("claimed") == "4.85")
    assert (len(job.result["tx_hashes"]), holder.tokens) == (1, 14_550_000)


async def test_claim__nothing_due__sends_nothing(tmp_path: Path) -> None:
    holder = World(tmp_path).node("holder")
    (job,) = await holder.live(("claim", {}))
    assert (job.result, holder.world.chain.block) == ({"claimed": "0.00", "tx_hashes": []}, 0)


async def test_claim__somebody_else_claims_first__is_done_and_the_money_is_there(tmp_path: Path) -> None:
    world, holder = await earned(tmp_path)
    stranger = MemorySender(world.chain, Account("0x" + "33" * 20))

    class Racing(MemoryMarket):
        def prepare_claim(self, split_id: int, account: Account) -> MemoryCall:
            call = super().prepare_claim(split_id, account)
            stranger.broadcast(stranger.sign(call, stranger.next_nonce()).raw)
            return call

    holder.royalties = Royalties(Racing(world.chain), holder.treasury, holder.keys.account)
    holder.jobs.register("claim", holder.royalties.claim)
    job = next(job for job in await holder.live(("claim", {})) if job.kind == "claim")
    assert (job.state, job.result["tx_hashes"], holder.tokens) == (JobState.DONE, [], 9_700_000)
