"""Buying and fetching on the fakes: killed at every call of every port, nothing is paid twice."""

import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.world import Fuse, Member, World, every_fuse
from viz_node.domain.decide_purchase import AskedPurchase
from viz_node.domain.job import Job, JobState
from viz_node.domain.manifest import FILE_NAMES
from viz_node.domain.orders import TrainOrder
from viz_node.domain.recipe import Recipe
from viz_node.p2p.blobs import blob_id_of

PRICE, MONEY = 5_000_000, 20_000_000


async def market(
    tmp_path: Path, kind: str = "perpetual", has_permits: bool = True
) -> tuple[World, Member, Member, str]:
    world = World(tmp_path)
    world.chain.has_permits = has_permits
    holder, peer = world.node("holder"), world.node("peer", MONEY)
    adapter_id = await holder.sell("elsin", kind=kind)
    peer.hear()
    return world, holder, peer, adapter_id


def orders(adapter_id: str) -> list[tuple[str, dict]]:
    return [("license", {"adapter": adapter_id, "max_price": 6_000_000}), ("fetch", {"adapter": adapter_id})]


async def calls_of(tmp_path: Path, order_number: int, kind: str, has_permits: bool = True) -> int:
    _, _, peer, adapter_id = await market(tmp_path / "count", kind, has_permits)
    if order_number == 1:
        await peer.live(orders(adapter_id)[0])
    fuse = Fuse()
    peer.start(fuse)
    jobs = await peer.live(orders(adapter_id)[order_number])
    assert all(job.state is JobState.DONE for job in jobs), jobs
    return len(fuse.calls)


@pytest.mark.parametrize(("kind", "has_permits"), [("perpetual", True), ("perpetual", False), ("subscription", True)])
async def test_license__killed_at_every_call__is_paid_exactly_once(
    tmp_path: Path, kind: str, has_permits: bool
) -> None:
    calls = await calls_of(tmp_path, 0, kind, has_permits)
    assert calls > 25
    for number, fuse in enumerate(every_fuse(calls)):
        world, holder, peer, adapter_id = await market(tmp_path / str(number), kind, has_permits)
        peer.start(fuse)
        jobs = await peer.survive(orders(adapter_id)[0])

        if jobs:  # killed before the order was stored, there is none
            assert [job.state for job in jobs] == [JobState.DONE], (number, fuse.calls[-1], jobs)
            assert peer.tokens == MONEY - PRICE, (number, fuse.calls[-1])
            assert [sale.price for sale in world.chain.state.sales] == [PRICE]
        assert (await holder.royalties.show()).due == ("4.85" if jobs else "0.00")


async def test_fetch__killed_at_every_call__ends_with_the_files(tmp_path: Path) -> None:
    calls = await calls_of(tmp_path, 1, "perpetual")
    for number, fuse in enumerate(every_fuse(calls)):
        _, holder, peer, adapter_id = await market(tmp_path / str(number))
        license_order, fetch_order = orders(adapter_id)
        await peer.live(license_order)
        peer.start(fuse)
        jobs = await peer.survive(fetch_order)

        assert all(job.state is JobState.DONE for job in jobs), (number, fuse.calls[-1], jobs)
        if len(jobs) == 2:
            record = peer.store.adapters.find_adapter(adapter_id)
            for name in FILE_NAMES:
                source = Path(holder.store.adapters.find_adapter("elsin").directory) / name
                assert (Path(record.directory) / name).read_bytes() == source.read_bytes()
            assert len(peer.network.blobs) == len(peer.network.provided) == len(FILE_NAMES)
        assert peer.tokens == MONEY - PRICE


async def test_license__paid_and_then_withdrawn_before_the_restart__is_done(tmp_path: Path) -> None:
    _, _, peer, adapter_id = await market(tmp_path)
    sends = [number for number, name in enumerate((await fused_calls(peer, adapter_id)).calls) if "broadcast" in name]
    world, holder, peer, adapter_id = await market(tmp_path / "again")
    peer.start(Fuse(sends[0], after=True))
    with pytest.raises(BaseExceptionGroup):
        await peer.live(orders(adapter_id)[0])
    world.chain.state.offers[0] = replace(world.chain.state.offers[0], price=9_000_000)
    holder.network.is_up = False
    peer.now += 7 * 24 * 3600  # the announcement has expired
    peer.start()

    jobs = await peer.live()

    assert (jobs[0].state, jobs[0].result["paid"], peer.tokens) == (JobState.DONE, "5.00", MONEY - PRICE)


async def test_license__approval_was_used_by_another_purchase__approves_again(tmp_path: Path) -> None:
    _, _, peer, adapter_id = await market(tmp_path, has_permits=False)
    signs = [number for number, name in enumerate((await fused_calls(peer, adapter_id)).calls) if "Sender.sign" in name]
    world, _, peer, adapter_id = await market(tmp_path / "again", has_permits=False)
    peer.start(Fuse(signs[1]))
    with pytest.raises(BaseExceptionGroup):
        await peer.live(orders(adapter_id)[0])
    assert world.chain.state.allowed[peer.keys.account] == PRICE
    world.chain.state.allowed[peer.keys.account] = 0
    peer.start()

    (job,) = await peer.live()

    assert (job.state, peer.tokens) == (JobState.DONE, MONEY - PRICE)


async def fused_calls(peer: Member, adapter_id: str) -> Fuse:
    fuse = Fuse()
    peer.start(fuse)
    await peer.live(orders(adapter_id)[0])
    return fuse


async def test_license__twice__perpetual_is_paid_once_and_a_subscription_is_extended(tmp_path: Path) -> None:
    for kind, payments in (("perpetual", 1), ("subscription", 2)):
        world, _, peer, adapter_id = await market(tmp_path / kind, kind)
        order = orders(adapter_id)[0]
        assert all(job.state is JobState.DONE for job in await peer.live(order, order))
        assert len(world.chain.state.sales) == payments


@pytest.mark.parametrize(
    ("order", "error"),
    [
        (("license", {"adapter": "elsin", "max_price": PRICE - 1}), "PriceAboveLimitError"),
        (("license", {"adapter": "nobody", "max_price": PRICE}), "NotFoundError"),
        (("fetch", {"adapter": "elsin"}), "LicenseRequiredError"),
    ],
)
async def test_order__that_a_rule_forbids__fails_and_pays_nothing(tmp_path: Path, order, error: str) -> None:
    _, _, peer, _ = await market(tmp_path)
    (job,) = await peer.live(order)
    assert (job.state, job.error.split(":")[0], peer.tokens) == (JobState.FAILED, error, MONEY)


async def test_license__too_little_money__fails_and_is_resumed_with_money(tmp_path: Path) -> None:
    world, _, peer, adapter_id = await market(tmp_path)
    world.chain.state.tokens[peer.keys.account] = PRICE - 1
    (job,) = await peer.live(orders(adapter_id)[0])
    assert job.error.startswith("InsufficientFundsError")
    world.chain.state.tokens[peer.keys.account] = PRICE
    peer.store.jobs.save_job(replace(job, state=JobState.QUEUED))
    peer.start()
    (job,) = await peer.live()
    assert (job.state, peer.tokens) == (JobState.DONE, 0)


async def test_fetch__subscription__ends_by_the_clock_of_the_chain(tmp_path: Path) -> None:
    world, _, peer, adapter_id = await market(tmp_path, "subscription")
    license_order, fetch_order = orders(adapter_id)
    await peer.live(license_order)
    world.chain.time += 31 * 24 * 3600
    failed, _ = await peer.live(fetch_order)
    assert failed.error.startswith("LicenseRequiredError")
    world.chain.time -= 31 * 24 * 3600
    done, *_ = await peer.live(fetch_order)
    assert done.state is JobState.DONE


async def test_fetch__sealed_file_of_another_adapter_is_in_the_way__downloads_its_own(tmp_path: Path) -> None:
    _, _, peer, adapter_id = await market(tmp_path)
    license_order, fetch_order = orders(adapter_id)
    folder = peer.home / "bundles" / "elsin"
    folder.mkdir()
    leftover = folder / f"{FILE_NAMES[0]}.sealed"
    leftover.write_bytes(b"left by a fetch that was cancelled")
    its_id = blob_id_of(leftover)
    jobs = await peer.live(license_order, fetch_order)
    assert [job.state for job in jobs] == [JobState.DONE, JobState.DONE]
    assert its_id not in peer.network.blobs


async def test_fetch__sealed_files_are_there_from_a_fetch_that_failed__loads_them_from_nobody(tmp_path: Path) -> None:
    _, holder, peer, adapter_id = await market(tmp_path)
    shutil.copytree(holder.home / "bundles" / "elsin", peer.home / "bundles" / "elsin")
    holder.network.blobs.clear()
    jobs = await peer.live(*orders(adapter_id))
    assert [job.state for job in jobs] == [JobState.DONE, JobState.DONE]


async def test_fetch__holder_answers_with_a_wrong_key__fails_and_leaves_nothing(tmp_path: Path) -> None:
    _, holder, peer, adapter_id = await market(tmp_path)
    record = holder.store.adapters.find_adapter("elsin")
    forged = replace(record, sealed_key=holder.sealing.seal(b"\x01" * 32).hex())
    holder.store.adapters.save_adapter(forged)
    fetched, _ = await peer.live(*orders(adapter_id))
    assert fetched.error.startswith("VerificationError")
    assert peer.store.adapters.list_adapters() == []
    assert not (peer.home / "adapters" / "elsin").exists()


async def test_serve_library__after_a_restart__others_fetch_from_the_licensee(tmp_path: Path) -> None:
    world, holder, peer, adapter_id = await market(tmp_path)
    await peer.live(*orders(adapter_id))
    peer.network.blobs.clear()
    peer.network.provided.clear()
    peer.start()
    await peer.storefront.serve_library()
    holder.network.blobs.clear()
    other = world.node("other", MONEY)
    other.hear()
    jobs = await other.live(*orders(adapter_id))
    assert [job.state for job in jobs] == [JobState.DONE, JobState.DONE]


async def test_fetch__own_training_of_the_same_name_is_unfinished__takes_another_name(tmp_path: Path) -> None:
    _, _, peer, adapter_id = await market(tmp_path)
    peer.store.jobs.save_job(Job("t1", "train", JobState.FAILED, TrainOrder("elsin", (), None, Recipe()), 1, 1))
    training = peer.home / "adapters" / "elsin"
    training.mkdir()
    await peer.live(*orders(adapter_id))
    assert peer.store.adapters.find_adapter(adapter_id).name == f"elsin-{adapter_id[:8]}"
    assert training.exists()


@pytest.mark.parametrize("kind", ["perpetual", "subscription"])
async def test_license__adapter_is_withdrawn__what_is_advised_works(tmp_path: Path, kind: str) -> None:
    world, holder, peer, adapter_id = await market(tmp_path, kind)
    stranger = world.node("stranger", MONEY)
    stranger.hear()
    await peer.live(orders(adapter_id)[0])
    assert await stranger.purchase_plans.license(adapter_id, AskedPurchase(PRICE))
    assert (await holder.live(("withdraw", {"adapter": "elsin"})))[0].state is JobState.DONE

    (again, _) = await peer.live(orders(adapter_id)[0])
    (fetched, *_) = await peer.live(orders(adapter_id)[1])
    (refused,) = await stranger.live(orders(adapter_id)[0])

    if kind == "perpetual":
        assert (again.state, again.result["already_licensed"]) == (JobState.DONE, True)
    else:
        assert "the license that this account holds stays until it ends" in again.result["message"]
        assert again.result["hint"] == "viz-node fetch elsin"
    assert fetched.state is JobState.DONE
    assert refused.result["message"] == "elsin is withdrawn from sale"
    assert refused.result["hint"] == "viz-node search shows what is sold"
    assert (peer.tokens, stranger.tokens) == (MONEY - PRICE, MONEY)


async def test_renewal__without_a_license_or_above_the_limit__names_the_whole_command(tmp_path: Path) -> None:
    _, _, peer, adapter_id = await market(tmp_path, "subscription")
    renewal = ("license", {"adapter": adapter_id, "max_price": PRICE - 1, "renew": True})
    (never,) = await peer.live(renewal)
    assert never.result["hint"] == "viz-node license elsin --max-price 5.00"
    jobs = await peer.live(orders(adapter_id)[0], renewal)
    assert jobs[0].result["hint"] == "viz-node license renew elsin --max-price 5.00"
