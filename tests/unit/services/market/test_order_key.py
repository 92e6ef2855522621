"""Fair delivery on the fakes: both sides killed at every call, and every way in which an order can end."""

import asyncio
import logging
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.state import WINDOW_SECONDS
from tests.fakes.store import MemoryStore
from tests.fakes.world import Fuse, Killed, Member, World, every_fuse
from viz_node.chain.contract.ledger import PERPETUAL
from viz_node.domain.answer import as_json
from viz_node.domain.decide_purchase import AskedPurchase
from viz_node.domain.health import Health
from viz_node.domain.job import JobState
from viz_node.domain.order import OrderState
from viz_node.domain.purposes import Purpose
from viz_node.errors import InsufficientFundsError
from viz_node.identity import delivery
from viz_node.services.market.deliver_orders import LEAST_SECONDS_LEFT, least_seconds_left

PRICE, MONEY = 5_000_000, 20_000_000


async def market(tmp_path: Path, kind: str = "perpetual") -> tuple[World, Member, Member, str]:
    world = World(tmp_path)
    holder, peer = world.node("holder"), world.node("peer", MONEY)
    adapter_id = await holder.sell("elsin", kind=kind, is_escrowed=True)
    peer.hear()
    return world, holder, peer, adapter_id


def license_of(adapter_id: str) -> tuple[str, dict]:
    return "license", {"adapter": adapter_id, "max_price": 6_000_000}


def fetch_of(adapter_id: str) -> tuple[str, dict]:
    return "fetch", {"adapter": adapter_id}


def states(world: World) -> list[OrderState]:
    return [order.state for order in world.chain.state.orders]


async def watch_to_the_end(member: Member, watcher: str, fuse: Fuse) -> None:
    """A look that is killed, and another after the restart, until nothing is left to do."""
    member.start(fuse)
    try:
        await getattr(member, watcher).watch()
    except Killed:
        member.start()
        await member.treasury.recover()
    await getattr(member, watcher).watch()


async def calls_of(member: Member, watcher: str) -> int:
    fuse = Fuse()
    member.start(fuse)
    await getattr(member, watcher).watch()
    return len(fuse.calls)


async def test_license__escrowed_and_killed_at_every_call__is_ordered_once(tmp_path: Path) -> None:
    _, _, peer, adapter_id = await market(tmp_path / "count")
    fuse = Fuse()
    peer.start(fuse)
    await peer.live(license_of(adapter_id))
    assert any("save_order_secret" in name for name in fuse.calls)
    for number, deadly in enumerate(every_fuse(len(fuse.calls))):
        world, holder, peer, adapter_id = await market(tmp_path / str(number))
        peer.start(deadly)
        jobs = await peer.survive(license_of(adapter_id))
        if jobs:
            assert [job.state for job in jobs] == [JobState.DONE], (number, deadly.calls[-1], jobs)
            assert (states(world), peer.tokens) == ([OrderState.ORDERED], MONEY - PRICE)
            await holder.deliveries.watch()
            await peer.orders.watch()
            assert peer.orders._secrets.key(world.chain.state.orders[0].terms.key_hash.hex())


async def test_deliver_and_settle__killed_at_every_call__once_each(tmp_path: Path) -> None:
    _, holder, peer, adapter_id = await market(tmp_path / "count")
    await peer.live(license_of(adapter_id))
    calls = await calls_of(holder, "deliveries")
    assert calls > 10
    for number, deadly in enumerate(every_fuse(calls)):
        world, holder, peer, adapter_id = await market(tmp_path / str(number))
        await peer.live(license_of(adapter_id))
        await watch_to_the_end(holder, "deliveries", deadly)
        assert states(world) == [OrderState.DELIVERED], deadly.calls[-1]
        world.chain.time += WINDOW_SECONDS + 1
        again = Fuse(number // 2, after=bool(number % 2))
        await watch_to_the_end(holder, "deliveries", again)
        assert states(world) == [OrderState.SETTLED], again.calls[-1]
        assert (await holder.royalties.show()).due == "4.85"


async def test_fetch__delivered_order__opens_the_key_from_the_chain_alone(tmp_path: Path) -> None:
    world, holder, peer, adapter_id = await market(tmp_path)
    await peer.live(license_of(adapter_id))
    waiting, _ = await peer.live(fetch_of(adapter_id))
    assert waiting.error.startswith("DeadlineError")
    await holder.deliveries.watch()
    assert world.chain.state.licenses[1, peer.keys.account] == PERPETUAL
    holder.network.serve("key", None)  # the holder answers no request for keys
    fetched, *_ = await peer.live(fetch_of(adapter_id))
    assert fetched.state is JobState.DONE, fetched


async def test_license__ordered_already__is_not_ordered_again(tmp_path: Path) -> None:
    world, _, peer, adapter_id = await market(tmp_path)
    again, _ = await peer.live(license_of(adapter_id), license_of(adapter_id))
    assert (again.result["already_ordered"], len(world.chain.state.orders)) == (True, 1)


async def test_wrong_key__killed_at_every_call__is_disputed_and_paid_back(tmp_path: Path) -> None:
    async def cheated(place: Path) -> tuple[World, Member]:
        world, holder, peer, adapter_id = await market(place)
        await peer.live(license_of(adapter_id))
        order = world.chain.state.orders[0]
        given = delivery.wrap_for_order(b"\6" * 32, order.terms.point)
        call = holder.market.prepare_deliver(order, given.point, given.wrapped)
        await holder.treasury.execute("cheat", lambda: call, Purpose("deliver"))
        return world, peer

    _, peer = await cheated(tmp_path / "count")
    for number, deadly in enumerate(every_fuse(await calls_of(peer, "orders"))):
        world, peer = await cheated(tmp_path / str(number))
        await watch_to_the_end(peer, "orders", deadly)
        assert (states(world), peer.tokens) == ([OrderState.DISPUTED], MONEY), deadly.calls[-1]
        assert world.chain.state.licenses == {}


async def test_no_delivery__killed_at_every_call__is_refunded(tmp_path: Path) -> None:
    async def forgotten(place: Path) -> tuple[World, Member]:
        world, _, peer, adapter_id = await market(place)
        await peer.live(license_of(adapter_id))
        await peer.orders.watch()
        assert states(world) == [OrderState.ORDERED]
        world.chain.time += WINDOW_SECONDS + 1
        return world, peer

    _, peer = await forgotten(tmp_path / "count")
    for number, deadly in enumerate(every_fuse(await calls_of(peer, "orders"))):
        world, peer = await forgotten(tmp_path / str(number))
        await watch_to_the_end(peer, "orders", deadly)
        assert (states(world), peer.tokens) == ([OrderState.REFUNDED], MONEY), deadly.calls[-1]


async def test_deliver__order_names_another_key__is_left_to_the_refund(tmp_path: Path) -> None:
    world, holder, peer, adapter_id = await market(tmp_path)
    await peer.live(license_of(adapter_id))
    order = world.chain.state.orders[0]
    world.chain.state.orders[0] = replace(order, terms=replace(order.terms, key_hash=b"\1" * 32))
    await holder.deliveries.watch()
    assert states(world) == [OrderState.ORDERED]


async def test_deliver__payment_is_not_safe_yet__waits_for_its_block(tmp_path: Path) -> None:
    world, holder, peer, adapter_id = await market(tmp_path)
    holder.confirm_after(3)
    await peer.live(license_of(adapter_id))
    for _ in range(3):
        await holder.deliveries.watch()
        assert states(world) == [OrderState.ORDERED]
        world.chain.mine()
    await holder.deliveries.watch()
    assert states(world) == [OrderState.DELIVERED]


def test_least_seconds_left__any_window__is_a_part_of_it() -> None:
    assert [least_seconds_left(window) for window in (600, 86_400, 30 * 86_400)] == [120, 4_320, 129_600]


async def test_deliver__almost_too_late__is_left_to_the_refund(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    world, holder, peer, adapter_id = await market(tmp_path)
    await peer.live(license_of(adapter_id))
    world.chain.time = world.chain.state.orders[0].terms.deadline - LEAST_SECONDS_LEFT
    with caplog.at_level(logging.WARNING):
        await holder.deliveries.watch()
        await holder.deliveries.watch()
    assert states(world) == [OrderState.ORDERED]
    assert len([row for row in caplog.records if "goes back to its buyer" in row.message]) == 1
    assert holder.deliveries.check().state is Health.WARN
    world.chain.time -= 1
    await holder.deliveries.watch()
    assert states(world) == [OrderState.DELIVERED]
    await holder.deliveries.watch()
    assert holder.deliveries.check().state is Health.OK


async def test_deliver__missed__the_seller_is_told_why_and_what_happens_for_a_week(tmp_path: Path) -> None:
    world, holder, peer, adapter_id = await market(tmp_path)
    await holder.deliveries.watch()
    assert holder.deliveries.check().state is Health.OK
    await peer.live(license_of(adapter_id))
    holder.confirm_after(2)
    await holder.deliveries.watch()
    assert holder.deliveries.check().state is Health.OK
    world.chain.time = world.chain.state.orders[0].terms.deadline - LEAST_SECONDS_LEFT
    await holder.deliveries.watch()
    found = holder.deliveries.check()
    assert found.state is Health.WARN
    assert "1 paid order was not delivered in time" in found.detail
    assert "order 1 for elsin: the block of its payment was not shown as safe in time" in found.detail
    assert "nothing is to be done" in found.fix and "2027-" in found.fix
    world.chain.time += LEAST_SECONDS_LEFT + 1
    await peer.orders.watch()
    assert states(world) == [OrderState.REFUNDED]
    await holder.deliveries.watch()
    assert holder.deliveries.check() == found
    world.chain.time += 7 * 86_400
    await holder.deliveries.watch()
    assert holder.deliveries.check().state is Health.OK


async def test_deliver__node_was_away_until_the_refund__is_told_after_its_start(tmp_path: Path) -> None:
    world, holder, peer, adapter_id = await market(tmp_path)
    await peer.live(license_of(adapter_id))
    world.chain.time += WINDOW_SECONDS + 1
    await peer.orders.watch()
    holder.start()
    await holder.deliveries.watch()
    found = holder.deliveries.check()
    assert (found.state, "did not run in time" in found.detail) == (Health.WARN, True)


async def test_deliver__no_money_for_gas__is_the_cause_that_is_told(tmp_path: Path, monkeypatch) -> None:
    world, holder, peer, adapter_id = await market(tmp_path)
    await peer.live(license_of(adapter_id))

    async def refuse(*_: object) -> None:
        raise InsufficientFundsError("the account has 0 coins")

    with monkeypatch.context() as poor:
        poor.setattr(holder.treasury, "submit", refuse)
        with pytest.raises(InsufficientFundsError):
            await holder.deliveries.watch()
    world.chain.time = world.chain.state.orders[0].terms.deadline - 1
    await holder.deliveries.watch()
    assert holder.deliveries.check().detail.endswith("order 1 for elsin: the account has 0 coins")


async def test_deliver__an_earlier_delivery_is_in_no_block_yet__does_not_wait_for_it(tmp_path: Path) -> None:
    world, holder, peer, adapter_id = await market(tmp_path)
    other = world.node("other", MONEY)
    other.hear()
    await peer.live(license_of(adapter_id))
    await other.live(license_of(adapter_id))
    world.chain.mines = False
    await asyncio.wait_for(holder.deliveries.watch(), 1)
    assert len(world.chain.pool) == 2
    world.chain.mine()
    assert states(world) == [OrderState.DELIVERED] * 2


async def test_deliver__refused_by_the_market__is_tried_again_some_blocks_later(tmp_path: Path) -> None:
    world, holder, peer, adapter_id = await market(tmp_path)
    await peer.live(license_of(adapter_id))
    world.chain.state.licenses[1, peer.keys.account] = 1
    await holder.deliveries.watch()
    world.chain.state.licenses.clear()
    await holder.deliveries.watch()
    assert states(world) == [OrderState.ORDERED]
    for _ in range(50):
        world.chain.mine()
    await holder.deliveries.watch()
    assert states(world) == [OrderState.DELIVERED]
    world.chain.time += WINDOW_SECONDS + 1
    await holder.deliveries.watch()
    await holder.deliveries.watch()
    assert (states(world), holder.deliveries._refused_in) == ([OrderState.SETTLED], {})


async def test_no_delivery__database_was_lost__is_refunded_all_the_same(tmp_path: Path) -> None:
    world, _, peer, adapter_id = await market(tmp_path)
    await peer.live(license_of(adapter_id))
    peer.store = MemoryStore()
    peer.start()
    world.chain.time += WINDOW_SECONDS + 1
    await peer.orders.watch()
    assert (states(world), peer.tokens) == ([OrderState.REFUNDED], MONEY)


async def test_renewal__escrowed_subscription__is_paid_directly_at_the_same_offer(tmp_path: Path) -> None:
    world, holder, peer, adapter_id = await market(tmp_path, "subscription")
    await peer.live(license_of(adapter_id))
    await holder.deliveries.watch()
    end = world.chain.state.licenses[1, peer.keys.account]
    kind, order = license_of(adapter_id)
    renewed, _ = await peer.live((kind, order | {"renew": True}))
    assert renewed.state is JobState.DONE, renewed
    assert world.chain.state.licenses[1, peer.keys.account] == end + 30 * 86_400
    assert len(world.chain.state.orders) == len(world.chain.state.sales) == 1


async def test_plan__renewal_of_what_can_be_disputed__says_what_a_dispute_takes(tmp_path: Path) -> None:
    world, holder, peer, adapter_id = await market(tmp_path, "subscription")
    await peer.live(license_of(adapter_id))
    await holder.deliveries.watch()
    plans = peer.purchase_plans
    *_, pay = as_json(await plans.license(adapter_id, AskedPurchase(10**12, is_renewal=True)))
    assert "order 1 can be disputed for" in pay["consequence"]
    world.chain.time = world.chain.state.orders[0].delivery.deadline + 1
    *_, pay = as_json(await plans.license(adapter_id, AskedPurchase(10**12, is_renewal=True)))
    assert "disputed" not in pay["consequence"]
