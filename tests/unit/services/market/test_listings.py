"""What strangers announce: believed when signed, whole and on the chain, and left out otherwise."""

import hashlib
import json
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes.world import Member, World
from viz_node.daemon.secrets import Sealing
from viz_node.domain import announcement as wire
from viz_node.domain.announcement import Announcement, SignedAnnouncement, parse_announcement
from viz_node.errors import NotFoundError, UnreachableError, VerificationError
from viz_node.services.market.listings import MANIFEST_METHOD


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def signed(item: Announcement, author: Member) -> bytes:
    signature = Sealing(author.keys).sign(wire.SIGNING_CONTEXT + item.payload())
    return SignedAnnouncement(item, signature).to_bytes()


async def sold(world: World) -> tuple[Member, Member, Announcement]:
    holder, peer = world.node("holder"), world.node("peer")
    adapter_id = await holder.sell("elsin")
    peer.hear()
    return holder, peer, parse_announcement(world.hub.announcements[adapter_id], peer.now).announcement


async def test_search__announced_and_registered__is_listed_with_the_price_of_the_chain(world: World) -> None:
    holder, peer, item = await sold(world)
    (row,) = await peer.listings.search("ELS")
    assert (row.adapter_id, row.price, row.licensed) == (item.adapter_id, "5.00", False)
    assert row.account == holder.keys.account
    assert await peer.listings.search("nothing of the kind") == []
    assert (peer.listings.name_of(1), peer.listings.name_of(2)) == (row.name, "")
    shown = await peer.listings.show(item.adapter_id[:8])
    assert shown.manifest["account"] == holder.keys.account


async def test_check_announcement__changed_or_forged__is_refused(world: World) -> None:
    holder, peer, item = await sold(world)
    raw = signed(item, holder)
    thief = world.node("thief")
    assert peer.announcements.check(raw) == (item.adapter_id, item.peer_id, item.sequence)
    hostile = [
        signed(item, thief),
        signed(replace(item, expires=peer.now), holder),
        signed(replace(item, expires=peer.now + 49 * 3600), holder),
        signed(replace(item, name="a\u202eb"), holder),
        signed(replace(item, addresses=("/ip4/1.1.1.1",) * 9), holder),
        signed(replace(item, sequence=-1), holder),
        raw.replace(b"elsin", b"elsim"),
        raw + b" ",
        b"{" * 4096,
        b"\xff" * 100,
        b"x" * 4097,
    ]
    for bad in hostile:
        with pytest.raises(VerificationError):
            peer.announcements.check(bad)


async def test_listing__holder_serves_another_manifest__is_refused_and_left_out(world: World) -> None:
    holder, peer, item = await sold(world)
    envelope = holder.store.adapters.find_adapter("elsin").manifest
    assert envelope is not None
    payload = json.loads(envelope)["payload"]
    forged = payload.replace('"name":"elsin"', '"name":"other"')
    lies = [
        b"",
        b"[]",
        b"[" * 100_000,
        b"x" * 600_000,
        json.dumps({"payload": forged, "signature": "00"}).encode(),
        json.dumps({"payload": payload, "signature": "00" * 64}).encode(),
        json.dumps({"payload": 7, "signature": "00"}).encode(),
    ]
    for lie in lies:

        async def answer(_peer: str, _payload: bytes, lie: bytes = lie) -> bytes:
            return lie

        holder.network.serve(MANIFEST_METHOD, answer)
        with pytest.raises(VerificationError):
            await peer.listings.listing(item.adapter_id)
        assert await peer.listings.search("") == []
    holder.start()
    assert (await peer.listings.listing("elsin")).adapter_id == item.adapter_id


async def test_listing__chain_says_otherwise__is_refused(world: World) -> None:
    _, peer, item = await sold(world)
    state = world.chain.state
    adapter, offer = state.adapters[0], state.offers[0]
    for changed in (replace(adapter, base_model=b"\1" * 32), replace(adapter, terms=b"\1" * 32)):
        state.adapters[0] = changed
        with pytest.raises(VerificationError):
            await peer.listings.listing(item.adapter_id)
    state.adapters[0] = adapter
    for bad in (replace(offer, shares=((peer.keys.account, 10_000),)), replace(offer, duration_seconds=1)):
        state.offers[0] = bad  # type: ignore[arg-type]
        with pytest.raises(VerificationError):
            await peer.listings.listing(item.adapter_id)
    state.adapters.clear()
    with pytest.raises(VerificationError, match="not registered"):
        await peer.listings.listing(item.adapter_id)


async def test_search__holder_is_away__is_listed_without_a_price(world: World) -> None:
    holder, peer, item = await sold(world)
    holder.network.is_up = False
    (row,) = await peer.listings.search("")
    assert (row.adapter_id, row.price) == (item.adapter_id, None)
    with pytest.raises(UnreachableError):
        await peer.listings.show("elsin")


async def test_resolve__not_known_here__is_looked_up_by_full_id_only(world: World) -> None:
    _, _, item = await sold(world)
    late = world.node("late")
    with pytest.raises(NotFoundError):
        await late.listings.listing("elsin")
    assert (await late.listings.listing(item.adapter_id)).manifest.name == "elsin"
    with pytest.raises(NotFoundError):
        await late.listings.listing(hashlib.sha256(b"other").hexdigest())


async def test_resolve__two_of_one_name__must_be_named_by_id(world: World) -> None:
    _, peer, item = await sold(world)
    other = world.node("other")
    await other.sell("elsin")
    peer.hear()
    with pytest.raises(NotFoundError, match="2 adapters"):
        await peer.listings.listing("elsin")
    assert (await peer.listings.listing(item.adapter_id)).adapter_id == item.adapter_id


async def test_announcement__stranger_claims_the_adapter__the_sellers_listing_stays(world: World) -> None:
    _, peer, item = await sold(world)
    thief, newcomer, latest = world.node("thief"), world.node("newcomer"), world.node("latest")
    claim = signed(replace(item, peer_id=thief.keys.peer_id, sequence=2**53 - 1, name="mine"), thief)
    for listener in (peer, newcomer):
        listener.announcements.check(claim)
        listener.announcements.take_in(claim)
    newcomer.hear()  # it has heard the stranger first
    world.hub.announcements[item.adapter_id] = claim  # and the DHT tells the highest number
    for buyer in (peer, newcomer, latest):
        listing = await buyer.listings.listing(item.adapter_id)
        assert (listing.manifest.name, listing.manifest.peer_id) == ("elsin", item.peer_id)
    for buyer in (peer, newcomer):
        assert [row.peer_id for row in await buyer.listings.search("")] == [item.peer_id]
    assert peer.listings.names()[item.adapter_id] == "elsin"


async def test_name__strangers_use_it_for_adapters_that_do_not_exist__the_seller_and_the_buyer_keep_it(
    world: World,
) -> None:
    holder, peer, item = await sold(world)
    thief = world.node("thief")
    for number in range(3):
        bogus = signed(replace(item, adapter_id=f"{number:064x}", peer_id=thief.keys.peer_id), thief)
        for listener in (holder, peer):
            listener.announcements.take_in(bogus)
    for member in (holder, peer):
        assert (await member.listings.listing("elsin")).adapter_id == item.adapter_id
    thief.network.is_up = False  # what does not answer may be another adapter of this name
    with pytest.raises(NotFoundError, match="4 adapters"):
        await peer.listings.listing("elsin")
    assert (await holder.listings.listing("elsin")).adapter_id == item.adapter_id


async def test_announced__clock_is_set_back__nothing_breaks(world: World) -> None:
    _, peer, _ = await sold(world)
    assert len(peer.announcements.living()) == 1
    peer.now -= 10 * 86_400
    assert (peer.announcements.living(), await peer.listings.search("")) == ([], [])
