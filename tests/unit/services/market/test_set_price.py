"""Another price, and no more sales, on the fakes: killed at every call, and what licensees hold stays."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.chain import MemoryMarket
from tests.fakes.world import Fuse, Member, World, every_fuse
from viz_node.domain.answer import as_json
from viz_node.domain.job import JobState
from viz_node.domain.orders import PriceOrder
from viz_node.domain.terms import AskedTerms
from viz_node.errors import ChainUnavailableError, NotFoundError, UsageError

MONEY = 50_000_000


async def market(tmp_path: Path) -> tuple[World, Member, Member, str]:
    world = World(tmp_path)
    holder, peer = world.node("holder"), world.node("peer", MONEY)
    adapter_id = await holder.sell("elsin", kind="subscription")
    peer.hear()
    return world, holder, peer, adapter_id


async def change(holder: Member, price: str = "7.00") -> PriceOrder:
    return await holder.price_plans.check_change("elsin", price, "7.70", 20)


async def test_set__killed_at_every_call__one_new_offer_is_open(tmp_path: Path) -> None:
    _, holder, _, _ = await market(tmp_path / "count")
    fuse, order = Fuse(), await change(holder)
    holder.start(fuse)
    await holder.live(order)
    for number, deadly in enumerate(every_fuse(len(fuse.calls))):
        world, holder, peer, _ = await market(tmp_path / str(number))
        order = await change(holder)
        holder.start(deadly)
        if len(await holder.survive(order)) == 2:
            offers = world.chain.state.offers
            assert [(offer.price, offer.is_open) for offer in offers] == [(5_000_000, False), (7_000_000, True)]
            (row,) = await peer.listings.search("")
            assert row.price == "7.00"


async def test_change__says_what_it_costs_and_means__and_sends_nothing(tmp_path: Path) -> None:
    world, holder, _, _ = await market(tmp_path)
    before = world.chain.block
    offer, withdraw = as_json(await holder.price_plans.change(await change(holder)))
    assert (offer["what"], withdraw["what"]) == (
        "offer elsin at 7.00 to 7.70 tokens",
        "withdraw the earlier offer of elsin",
    )
    assert [part["amount"] for part in offer["paid_to"]] == ["6.79", "0.21"]
    assert "licenses that were bought stay" in withdraw["consequence"]
    assert (world.chain.block, all(row["gas"] for row in (offer, withdraw))) == (before, True)


async def test_show__moving_price__says_how_it_moves_and_what_was_paid(tmp_path: Path) -> None:
    _, holder, peer, adapter_id = await market(tmp_path)
    await holder.live(await change(holder))
    await peer.live(("license", {"adapter": adapter_id, "max_price": 7_000_000}))
    shown = as_json(await peer.prices.show("elsin"))
    assert [row["is_open"] for row in shown["offers"]] == [True, False]
    first = shown["offers"][0]
    assert (first["price"], first["ceiling"], first["target"]) == ("7.00", "7.70", 20)
    assert [(sale["offer"], sale["paid"], sale["derived"], sale["matches"]) for sale in shown["sales"]] == [
        (2, "7.00", "7.00", True)
    ]
    assert ({point["price"] for point in shown["curve"]}, shown["at"]) == ({"7.00"}, None)
    shown = as_json(await peer.prices.show("elsin", at=1))
    assert shown["at"] == {"time": "1970-01-01T00:00:01+00:00", "price": None}


@pytest.mark.parametrize(("wrong_looks", "matches"), [(1, True), (99, False)], ids=["a block came between", "a lie"])
async def test_show__price_differs__is_looked_at_again_before_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, wrong_looks: int, matches: bool
) -> None:
    _, _, peer, _ = await market(tmp_path)
    looks, look = [], MemoryMarket.price_history

    def drift(self: MemoryMarket, offer_ids: list[int]) -> Any:
        looks.append(offer_ids)
        sales, paths = look(self, offer_ids)
        return sales, [replace(path, floor=path.floor + (len(looks) <= wrong_looks)) for path in paths]

    monkeypatch.setattr(MemoryMarket, "price_history", drift)
    (offer,) = as_json(await peer.prices.show("elsin"))["offers"]
    assert offer["matches"] is matches


async def test_withdraw__sold_before__licensee_still_fetches_and_nobody_buys(tmp_path: Path) -> None:
    world, holder, peer, adapter_id = await market(tmp_path)
    order = {"adapter": adapter_id, "max_price": 5_000_000}
    await peer.live(("license", order))
    (row,) = as_json(await holder.price_plans.withdrawal("elsin"))
    assert "licenses that were bought stay" in row["consequence"]
    assert (await holder.live(("withdraw", {"adapter": "elsin"})))[0].state is JobState.DONE
    assert await peer.listings.search("") == await holder.price_plans.withdrawal("elsin") == []
    fetched, *_ = await peer.live(("fetch", {"adapter": adapter_id}))
    assert fetched.state is JobState.DONE, fetched
    other = world.node("other", MONEY)
    other.hear()
    (refused,) = await other.live(("license", order))
    assert (refused.error.split(":")[0], other.tokens) == ("RefusedError", MONEY)


async def test_states__withdrawn_or_for_sale__is_told_and_what_is_not_on_the_chain_is_unknown(tmp_path: Path) -> None:
    _, holder, _, _ = await market(tmp_path)
    await holder.sell("other")
    await holder.live(("withdraw", {"adapter": "elsin"}))
    states = await holder.prices.states(["elsin", "other", "missing"])
    assert states == {"elsin": "withdrawn", "other": "for sale", "missing": "unknown"}


async def test_states__chain_that_does_not_answer__is_unknown_and_asked_again_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, holder, _, _ = await market(tmp_path)
    asked: list[bytes] = []

    def away(_market: MemoryMarket, digest: bytes, _owner: str) -> None:
        asked.append(digest)
        raise ChainUnavailableError("no answer", "try again")

    with monkeypatch.context() as patch:
        patch.setattr(MemoryMarket, "find_adapter", away)
        for _ in range(3):
            assert await holder.prices.states(["elsin"]) == {"elsin": "unknown"}
    assert len(asked) == 1
    assert await holder.prices.states(["elsin"]) == {"elsin": "unknown"}
    holder.now += 30
    assert await holder.prices.states(["elsin"]) == {"elsin": "for sale"}


async def test_renew__never_held__is_refused_and_held_is_extended(tmp_path: Path) -> None:
    world, _, peer, adapter_id = await market(tmp_path)
    order = {"adapter": adapter_id, "max_price": 5_000_000, "renew": True}
    (refused,) = await peer.live(("license", order))
    assert refused.error.startswith("LicenseRequiredError")
    await peer.live(("license", order | {"renew": False}))
    end = world.chain.state.licenses[1, peer.keys.account]
    await peer.live(("license", order))
    assert world.chain.state.licenses[1, peer.keys.account] == end + 30 * 86_400


async def test_check_change__not_ours_or_impossible__is_refused(tmp_path: Path) -> None:
    _, holder, peer, _ = await market(tmp_path)
    with pytest.raises(NotFoundError):
        await peer.price_plans.check_change("elsin", "7.00", None, None)
    for ceiling, target in (("7.00", 20), ("6.00", 20), ("8.00", None), (None, 20), ("99999.00", 20)):
        with pytest.raises(UsageError):
            await holder.price_plans.check_change("elsin", "7.00", ceiling, target)


def test_asked_terms__ceiling__is_never_exceeded() -> None:
    offer = AskedTerms("0.000003", ceiling="0.000004", target=1).offer()
    assert (offer.max_rise, offer.ceiling) == (3333, 3)
