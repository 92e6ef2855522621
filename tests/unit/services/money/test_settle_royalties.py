"""What is due is claimed once, whatever kills the node, and whoever else claims it."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.chain import MemoryCall, MemoryMarket, MemorySender
from tests.fakes.world import Fuse, Member, World, every_fuse
from viz_node.domain.answer import as_json
from viz_node.domain.ids import Account, format_amount
from viz_node.domain.job import JobState
from viz_node.domain.orders import ClaimOrder, PublishOrder
from viz_node.domain.terms import AskedTerms, PromisedShare
from viz_node.services.money.settle_royalties import Royalties
from viz_node.services.money.transact import Patience
from viz_node.services.part import Kind, Lane


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
    shown = as_json(await holder.royalties.show())
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
        def prepare_claim_many(self, claims: Sequence[tuple[int, Account]]) -> MemoryCall:
            call = super().prepare_claim_many(claims)
            stranger.broadcast(stranger.sign(call, stranger.next_nonce()).raw)
            return call

    holder.royalties = Royalties(Racing(world.chain), holder.treasury, holder.keys.account, holder.pools.credits)
    holder.jobs.register(Kind(ClaimOrder, Lane.MARKET, holder.royalties.claim))
    job = next(job for job in await holder.live(("claim", {})) if job.kind == "claim")
    assert (job.state, job.result["tx_hashes"], holder.tokens) == (JobState.DONE, [], 9_700_000)


async def test_claim__somebody_else_claims_part_of_it_before_it_is_mined__the_rest_comes(tmp_path: Path) -> None:
    world, holder = await earned(tmp_path)
    stranger = MemorySender(world.chain, Account("0x" + "33" * 20))
    world.chain.mines = False
    holder.treasury._patience = Patience(mined_seconds=0.05)
    (job, *_) = await holder.live(("claim", {}))
    assert job.error.startswith("DeadlineError")
    early = MemoryMarket(world.chain).prepare_claim(1, holder.keys.account)
    early.apply(world.chain.state, stranger.account, 0)
    world.chain.mines = True
    world.chain.mine()
    holder.store.jobs.save_job(replace(job, state=JobState.QUEUED))
    holder.start()
    job = next(job for job in await holder.live() if job.kind == "claim")
    assert (job.state, len(job.result["tx_hashes"]), holder.tokens) == (JobState.DONE, 1, 9_700_000)


async def test_claim__more_splits_than_one_transaction_takes__all_are_claimed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, holder = await earned(tmp_path)
    monkeypatch.setattr("viz_node.services.money.settle_royalties.MOST_CLAIMS", 1)
    (*_, total) = as_json(await holder.royalty_plans.claim())
    assert total["what"] == "all of it, in 2 transaction(s)"
    job = next(job for job in await holder.live(("claim", {})) if job.kind == "claim")
    assert (len(job.result["tx_hashes"]), job.result["claimed"], holder.tokens) == (2, "9.70", 9_700_000)


async def test_claim__derived_adapter_owes_the_parent__passed_on_and_claimed_in_one_transaction(tmp_path: Path) -> None:
    world, holder = await earned(tmp_path)
    maker, buyer = world.node("maker"), world.node("buyer", 5_000_000)
    maker.add_adapter("child")
    terms = maker.publications.check_order("child", AskedTerms("5.00"), [PromisedShare("ab" * 32, 1, 1000)])
    await maker.live(PublishOrder("child", terms))
    buyer.hear()
    await buyer.live(("license", {"adapter": "child", "max_price": 5_000_000}))
    plan = as_json(await holder.royalty_plans.claim())
    # A tenth of what the platform leaves, and 97 percent of that.
    brought = 9_700_000 + 5_000_000 * 970 // 10_000 * 9700 // 10_000
    assert [row["what"] for row in plan][:2] == ["claim from one", "claim from two"]
    assert "what is passed on for adapter 3, derived from it" in plan[0]["consequence"]
    assert "derived" not in plan[1]["consequence"]
    assert plan[-1]["amount"] == "+" + format_amount(brought)
    shown = as_json(await holder.royalties.show())
    assert (shown["due"], shown["in_derived"]) == ("9.70", format_amount(brought - 9_700_000))
    assert (holder.tokens, world.chain.nonces[holder.keys.account]) == (0, 2)
    job = next(job for job in await holder.live(("claim", {})) if job.kind == "claim")
    assert (len(job.result["tx_hashes"]), job.result["claimed"], holder.tokens) == (1, format_amount(brought), brought)
    assert await holder.royalty_plans.claim() == []
