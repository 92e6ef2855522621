"""Licenses and orders as the chain has them, in every state, for those who hold and those who sell."""

from pathlib import Path

from tests.fakes.chain import WINDOW_SECONDS
from tests.fakes.world import Member, World
from viz_node.services.market.deliver_orders import LEAST_SECONDS_LEFT
from viz_node.services.market.list_licenses import LicenseList, ShownLicense

DAY = 86_400
MONEY = 50_000_000


def licenses(member: Member) -> LicenseList:
    return LicenseList(member.world.market(), member.listings, member.keys.account)


async def buy(member: Member, name: str) -> None:
    await member.live(("license", {"adapter": name, "max_price": 5_000_000}))


async def market(tmp_path: Path) -> tuple[World, Member, Member]:
    world = World(tmp_path)
    holder, peer = world.node("holder"), world.node("peer", MONEY)
    await holder.sell("forever")
    await holder.sell("monthly", kind="subscription")
    await holder.sell("fair", is_escrowed=True)
    peer.hear()
    return world, holder, peer


def told(rows: list[ShownLicense]) -> list[tuple]:
    names = "adapter", "kind", "state", "days_left", "paid", "order_state"
    return [tuple(getattr(row, name) for name in names) for row in rows]


async def test_list__every_state__is_told_to_both_sides(tmp_path: Path) -> None:
    world, holder, peer = await market(tmp_path)
    assert (await licenses(peer).held(), await licenses(holder).sold()) == ([], [])
    for name in ("forever", "monthly", "monthly", "fair"):
        await buy(peer, name)
    rows = await licenses(peer).held()
    assert told(rows) == [
        ("forever", "perpetual", "held", None, "5.00", None),
        ("monthly", "subscription", "held", 59, "10.00", None),
        ("fair", "perpetual", "on order", None, "0.00", "ordered"),
    ]
    assert [row.expires for row in rows][::2] == ["forever", None]
    assert rows[1].expires.startswith("2027-03-")
    assert rows[2].order_until.startswith("2027-01-15T08:")
    assert [row.in_escrow for row in rows] == [None, None, "5.00"]
    assert await licenses(holder).sold() == rows
    assert {row.holder for row in rows} == {peer.keys.account}
    assert (await licenses(holder).held(), await licenses(peer).sold()) == ([], [])

    await holder.deliveries.watch()
    world.chain.time += 60 * DAY
    rows = await licenses(peer).held()
    assert told(rows)[1:] == [
        ("monthly", "subscription", "expired", 0, "10.00", None),
        ("fair", "perpetual", "held", None, "5.00", "delivered"),
    ]
    assert rows[2].in_escrow == "5.00", "it can be disputed still"
    await holder.deliveries.watch()
    settled = (await licenses(peer).held())[2]
    assert (settled.order_state, settled.in_escrow) == ("settled", None)


async def test_list__order_that_was_not_delivered__is_paid_back(tmp_path: Path) -> None:
    world, holder, peer = await market(tmp_path)
    await buy(peer, "fair")
    assert [row.note for row in await licenses(holder).sold()] == [None]
    world.chain.time += WINDOW_SECONDS - LEAST_SECONDS_LEFT
    (row,) = await licenses(holder).sold()
    assert told([row]) == [("fair", "perpetual", "not delivered", None, "0.00", "ordered")]
    assert row.note.endswith(f"the money goes back to the buyer at {row.order_until}, nothing is to be done")
    assert await licenses(peer).held() == [row]
    world.chain.time += LEAST_SECONDS_LEFT + 1
    await peer.orders.watch()
    (row,) = await licenses(peer).held()
    assert told([row]) == [("fair", "perpetual", "paid back", None, "0.00", "refunded")]
    assert "the money went back to the buyer" in row.note


async def test_list__adapter_that_nobody_announces_any_more__has_its_id(tmp_path: Path) -> None:
    _, _, peer = await market(tmp_path)
    await buy(peer, "forever")
    peer.now += 7 * DAY
    (row,) = await licenses(peer).held()
    assert row.adapter == row.adapter_id[:12]
