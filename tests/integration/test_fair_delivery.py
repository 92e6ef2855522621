"""Fair delivery by two nodes' services on a real Anvil: paid, delivered, opened, settled; or paid back."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.anvil_market import ANVIL
from tests.anvil_world import AnvilWorld
from tests.fakes.world import Member
from tests.waiting import until_shown
from viz_node.chain.development.anvil import DevChain, start_anvil, stop_anvil
from viz_node.domain.job import JobState
from viz_node.domain.orders import PublishOrder
from viz_node.domain.permissions import Permissions
from viz_node.domain.purposes import Purpose
from viz_node.domain.terms import AskedTerms
from viz_node.errors import RefusedError
from viz_node.identity import delivery

pytestmark = pytest.mark.skipif(not ANVIL.exists(), reason="anvil is not installed: run `npm ci` in contracts/")

MONEY = 20_000_000
LATER = 601


@pytest.fixture(scope="module")
def chain(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DevChain]:
    directory = tmp_path_factory.mktemp("anvil")
    yield start_anvil(directory, ANVIL)
    stop_anvil(directory)


async def ordered(chain: DevChain, tmp_path: Path, kind: str = "perpetual") -> tuple[AnvilWorld, Member, Member, str]:
    world = AnvilWorld(tmp_path, chain.rpc_url)
    holder, peer = world.node("holder"), world.node("peer", MONEY)
    adapter_id = await holder.sell("elsin", kind=kind, is_escrowed=True)
    peer.hear()
    before = world.tokens(peer)
    (job,) = await peer.live(("license", {"adapter": adapter_id, "max_price": 5_000_000}))
    assert (job.state, job.result["state"]) == (JobState.DONE, "ordered"), job
    assert (world.states(peer)[-1], world.tokens(peer)) == ("ordered", before - 5_000_000)
    return world, holder, peer, adapter_id


async def test_order__delivered__is_fetched_renewed_and_settled(chain: DevChain, tmp_path: Path) -> None:
    world, holder, peer, adapter_id = await ordered(chain, tmp_path, "subscription")
    await holder.deliveries.watch()
    await until_shown(holder)
    fetched, *_ = await peer.live(("fetch", {"adapter": adapter_id}))
    assert fetched.state is JobState.DONE, fetched
    renewal = {"adapter": adapter_id, "max_price": 5_000_000, "renew": True}
    renewed, *_ = await peer.live(("license", renewal))
    assert (renewed.state, "state" in renewed.result) == (JobState.DONE, False), renewed
    world.anvil.pass_time(LATER)
    await holder.deliveries.watch()
    await until_shown(holder)
    assert world.states(peer) == ["settled"]
    assert (await holder.royalties.show()).due == "9.70"
    await holder.live(("claim", {}))
    told = [(row.what, row.paid, row.earned, row.taken) for row in await holder.royalties.statement(None)]
    paid = "5.00", "4.85", "0.00"
    assert told == [("sold", *paid), ("delivered and settled", *paid), ("claimed", "9.70", "0.00", "9.70")]
    entries = [row.entry for row in await holder.royalties.statement(None)]
    assert entries == sorted(set(entries))
    assert await holder.royalties.statement((0, 1)) == []


async def test_order__nobody_delivers__comes_back_by_itself(chain: DevChain, tmp_path: Path) -> None:
    world, _, peer, _ = await ordered(chain, tmp_path)
    before = world.tokens(peer)
    await peer.orders.watch()
    assert world.states(peer) == ["ordered"]
    world.anvil.pass_time(LATER)
    await peer.orders.watch()
    await until_shown(peer)
    assert (world.states(peer), world.tokens(peer)) == (["refunded"], before + 5_000_000)


async def test_order__wrong_key__is_disputed_by_itself(chain: DevChain, tmp_path: Path) -> None:
    world, holder, peer, adapter_id = await ordered(chain, tmp_path)
    before, (order,) = world.tokens(peer), world.anvil.gateway.orders_paid_by(peer.keys.account)
    given = delivery.wrap_for_order(b"\6" * 32, order.terms.point)
    call = world.anvil.gateway.prepare_deliver(order, given.point, given.wrapped)
    await holder.treasury.execute("cheat", lambda: call, Purpose("deliver"))
    await peer.orders.watch()
    await until_shown(peer)
    assert (world.states(peer), world.tokens(peer)) == (["disputed"], before + 5_000_000)
    refused, *_ = await peer.live(("fetch", {"adapter": adapter_id}))
    assert refused.error.startswith("LicenseRequiredError")


async def test_derived_adapter__sold__pays_its_parent(chain: DevChain, tmp_path: Path) -> None:
    world = AnvilWorld(tmp_path, chain.rpc_url)
    holder, maker, peer = world.node("holder"), world.node("maker"), world.node("peer", MONEY)
    holder.add_adapter("elsin")
    maker.add_adapter("elsin-two")
    open_terms = Permissions(derivatives=True, derivative_share=1000)
    order = holder.publications.check_order("elsin", AskedTerms("5.00", permissions=open_terms))
    await holder.live(PublishOrder("elsin", order))
    maker.hear()
    with pytest.raises(RefusedError, match="demand 10 percent"):
        await maker.publications.lineage(["elsin=9.99"])
    parents = await maker.publications.lineage(["elsin=10"])
    derived = maker.publications.check_order("elsin-two", AskedTerms("5.00"), parents)
    (job,) = await maker.live(PublishOrder("elsin-two", derived))
    peer.hear()
    assert peer.listings.manifest_of(maker.store.adapters.find_adapter("elsin-two")).parents == (parents[0].adapter_id,)
    (bought,) = await peer.live(("license", {"adapter": job.result["adapter_id"], "max_price": 5_000_000}))
    assert bought.state is JobState.DONE, bought
    before = world.tokens(holder)
    claimed, *_ = await holder.live(("claim", {}))
    # Ten percent of the 97 that the platform leaves, and of that the parent's 97.
    assert claimed.state is JobState.DONE, claimed
    assert world.tokens(holder) - before == 5_000_000 * 970 // 10_000 * 9700 // 10_000
    told = [(row.what, row.taken) for row in await holder.royalties.statement(None)]
    assert told == [("derived adapter", "0.00"), ("claimed", "0.47045")]


async def test_direct_sale__licensee__gets_the_key_from_the_holder(chain: DevChain, tmp_path: Path) -> None:
    world = AnvilWorld(tmp_path, chain.rpc_url)
    holder, peer = world.node("holder"), world.node("peer", MONEY)
    adapter_id = await holder.sell("elsin")
    peer.hear()
    refused, *_ = await peer.live(("fetch", {"adapter": adapter_id}))
    assert refused.error.startswith("LicenseRequiredError")
    await peer.live(("license", {"adapter": adapter_id, "max_price": 5_000_000}))
    fetched, *_ = await peer.live(("fetch", {"adapter": adapter_id}))
    assert fetched.state is JobState.DONE, fetched
