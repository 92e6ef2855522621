"""Publishing on the fakes: killed at every call it registers once, and terms cannot change behind a buyer's back."""

from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.chain import PLATFORM
from tests.fakes.federations import new_federation
from tests.fakes.world import Fuse, Member, World, every_fuse
from viz_node.domain.answer import as_json
from viz_node.domain.job import JobState
from viz_node.domain.names import FilePath
from viz_node.domain.orders import PublishOrder
from viz_node.domain.permissions import Permissions
from viz_node.domain.terms import AskedTerms
from viz_node.domain.training import InstalledBase
from viz_node.errors import (
    ChainUnavailableError,
    DeadlineError,
    InvalidSplitError,
    NotFoundError,
    RefusedError,
    UsageError,
)
from viz_node.services.library.clear_bases import Clearance
from viz_node.services.library.look_up import published
from viz_node.services.money.transact import Patience

OTHER = "0x" + "22" * 20


@pytest.fixture
def holder(tmp_path: Path) -> Member:
    return World(tmp_path).node("holder")


def order(holder: Member, name: str = "elsin", **changes: Any) -> PublishOrder:
    asked = {"price": "5.00", "split": None, "license_kind": "perpetual", "duration_days": None} | changes
    return PublishOrder(name, holder.publications.check_order(name, AskedTerms(**asked)))


async def test_publish__killed_at_every_call__registers_one_adapter_that_is_announced(tmp_path: Path) -> None:
    fuse, counted = Fuse(), World(tmp_path / "count").node("holder")
    counted.add_adapter("elsin")
    counted.start(fuse)
    await counted.live(order(counted))
    for number, deadly in enumerate(every_fuse(len(fuse.calls))):
        world = World(tmp_path / str(number))
        holder = world.node("holder")
        holder.add_adapter("elsin")
        asked = order(holder)
        holder.start(deadly)
        jobs = await holder.survive(asked)
        if jobs:
            (adapter,) = world.chain.state.adapters
            assert jobs[0].state is JobState.DONE, (deadly.calls[-1], jobs)
            assert jobs[0].result["adapter_id"] == adapter.manifest.hex()
            assert list(world.hub.announcements) == [adapter.manifest.hex()]
            assert set(holder.network.blobs) == {
                entry.blob_id
                for entry in holder.listings.manifest_of(holder.store.adapters.find_adapter("elsin")).files
            }


async def test_plan_publish__says_what_it_costs_and_who_is_paid__and_does_nothing(holder: Member) -> None:
    holder.add_adapter("elsin")
    plans, asked = holder.publication_plans, order(holder, split=f"{OTHER}=100")
    row, kind, terms = as_json(await plans.publish("elsin", asked.terms))
    assert kind["consequence"] == "perpetual; payments paid out at once"
    assert "commercial use allowed; attribution" in terms["consequence"]
    assert (row["what"], row["amount"], bool(row["gas"])) == ("publish elsin", "", True)
    assert "sold at 5.00 tokens until withdrawn" in row["consequence"]
    assert {part["account"]: part["amount"] for part in row["paid_to"]} == {OTHER: "4.85", PLATFORM: "0.15"}
    assert (holder.store.adapters.find_adapter("elsin").adapter_id, holder.world.chain.block) == (None, 0)
    await holder.live(order(holder, split=f"{OTHER}=100"))
    assert await plans.publish("elsin", asked.terms) == []


async def test_publish__other_terms_than_before__is_refused(holder: Member) -> None:
    await holder.sell("elsin")
    assert (await holder.live(order(holder)))[0].state is JobState.DONE
    shown = f"another split .{holder.keys.account}=100."
    for change, told, step in (
        ({"price": "6.00"}, r"at another price .5.00.$", "viz-node pricing set elsin --price 6.00"),
        (
            {"price": "6.00", "ceiling": "7.00", "target": 3},
            "another price",
            "--price 6.00 --ceiling TOKENS --target N",
        ),
        ({"license_kind": "subscription"}, r"with another license .perpetual.$", "leave --license as"),
        ({"split": f"{OTHER}=100"}, f"with {shown}$", "leave --split as"),
        ({"is_escrowed": True}, r"with another delivery .direct.$", "leave --escrow or --direct as"),
        ({"permissions": Permissions(derivatives=True)}, r"other license terms .in derivatives.$", "leave --terms as"),
        ({"price": "6.00", "split": f"{OTHER}=100"}, f"another price .5.00. and with {shown}$", "leave --split as"),
        ({"license_kind": "metered"}, r"with another license .perpetual.$", "leave --license as"),
    ):
        with pytest.raises(UsageError, match=told) as caught:
            order(holder, **change)
        assert step in caught.value.hint
        assert ("pricing set" in caught.value.hint) == (set(change) <= {"price", "ceiling", "target"})


async def test_publish__adapter_was_fetched__is_refused_before_there_is_a_plan_or_a_job(tmp_path: Path) -> None:
    world = World(tmp_path)
    seller, buyer = world.node("seller"), world.node("buyer", 20_000_000)
    adapter_id = await seller.sell("elsin")
    buyer.hear()
    fetched = ("license", {"adapter": adapter_id, "max_price": 6_000_000}), ("fetch", {"adapter": adapter_id})
    assert all(job.state is JobState.DONE for job in await buyer.live(*fetched))
    with pytest.raises(RefusedError, match="elsin was fetched from its seller, who alone sells it"):
        order(buyer)


async def test_publish__first_try_is_in_no_block_yet__other_terms_wait_and_are_not_called_published(
    holder: Member,
) -> None:
    holder.add_adapter("elsin")
    holder.world.chain.mines = False
    holder.treasury._patience = Patience(mined_seconds=0.05)
    (job,) = await holder.live(order(holder))
    assert "is in no block after" in job.error
    with pytest.raises(DeadlineError, match="about to be published at another price"):
        order(holder, price="7.00")
    order(holder)


async def test_publish__chain_was_reset__is_named_and_nothing_is_called_published(holder: Member) -> None:
    holder.add_adapter("elsin")
    await holder.live(order(holder))
    await holder.publications.require_known("elsin")
    holder.world.chain.forget()
    with pytest.raises(ChainUnavailableError, match="was reset"):
        await holder.publications.require_known("elsin")
    (job, *_) = await holder.live(order(holder))
    assert (job.state, "was reset" in job.error) == (JobState.FAILED, True)


async def test_publish__first_try_failed_for_good__second_may_have_other_terms(holder: Member) -> None:
    holder.add_adapter("elsin")
    holder.world.chain.mines = False
    (job,) = await holder.live(order(holder))
    assert job.error.startswith("DeadlineError")
    holder.world.chain.pool.clear()
    holder.world.chain.nonces[holder.keys.account] = 1  # spent by the same keys elsewhere
    holder.world.chain.mines = True
    await holder.treasury.recover()

    done, _ = await holder.live(order(holder, price="7.00"))

    assert done.state is JobState.DONE
    assert [offer.price for offer in holder.world.chain.state.offers] == [7_000_000]


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"price": "0"}, UsageError),
        ({"price": "9999999999999"}, UsageError),
        ({"license_kind": "lease"}, UsageError),
        ({"license_kind": "perpetual", "duration_days": 3}, UsageError),
        ({"license_kind": "subscription", "duration_days": 0}, UsageError),
        ({"split": f"{OTHER}=99"}, InvalidSplitError),
        ({"name": "nobody"}, NotFoundError),
    ],
)
def test_check_order__bad_terms__refused_before_anything_happens(holder: Member, change, error) -> None:
    holder.add_adapter("elsin")
    with pytest.raises(error):
        order(holder, **change)


def test_check_order__worse_than_its_base_model__refused(holder: Member) -> None:
    record = holder.add_adapter("elsin")
    for after, is_worse in (("9.01", True), ("9.00", False)):
        evaluation = {"perplexity_before": "9.00", "perplexity_after": after, "tokens": 8}
        holder.store.adapters.save_adapter(replace(record, evaluation=evaluation))
        with pytest.raises(RefusedError, match="worse than its base model") if is_worse else nullcontext():
            order(holder)


async def test_publish__fetched_adapter__is_not_ours_to_sell(tmp_path: Path) -> None:
    world = World(tmp_path)
    holder, peer = world.node("holder"), world.node("peer", 10_000_000)
    adapter_id = await holder.sell("elsin")
    peer.hear()
    await peer.live(("license", {"adapter": adapter_id, "max_price": 5_000_000}), ("fetch", {"adapter": adapter_id}))
    with pytest.raises(RefusedError, match="elsin was fetched from its seller, who alone sells it"):
        order(peer)
    failed, *_ = await peer.live(order(holder))
    assert failed.error.startswith("RefusedError")
    assert published(peer.store.adapters, peer.store.outbox) == []


def test_check_order__federated_adapter__keeps_the_agreed_split(holder: Member) -> None:
    record = holder.add_adapter("duo")
    shares = {holder.keys.account: 5000, OTHER: 5000}
    holder.store.federations.save_federation(new_federation("f1", shares))
    holder.store.adapters.save_adapter(
        record.__class__(**vars(record) | {"origin": "federated", "training": {"federation": "f1"}})
    )
    assert order(holder, "duo").terms.split == shares
    assert order(holder, "duo", split=f"{OTHER}=50,{holder.keys.account}=50").terms.split == shares
    with pytest.raises(UsageError, match="another split"):
        order(holder, "duo", split=f"{holder.keys.account}=100")


async def test_publish__base_of_unknown_data__is_refused_until_its_owner_accepts_it_in_the_manifest(
    holder: Member,
) -> None:
    bases: list[InstalledBase] = []
    clearance = Clearance(holder.store.settings, lambda: bases)
    holder.publications._clearance = holder.publisher._bundles._clearance = clearance
    holder.add_adapter("elsin")
    with pytest.raises(RefusedError, match="nobody says what small was trained on"):
        order(holder)
    bases.append(InstalledBase("small", "ab" * 32, "mit", 1, FilePath("/nowhere"), {}))
    clearance.accept(bases[0], "I wrote every text in it")
    await holder.live(order(holder))
    (listed,) = published(holder.store.adapters, holder.store.outbox)
    told = dict(holder.storefront.manifest_of(listed).training)
    assert told == {"base_verdict": "unknown", "base_accepted": "I wrote every text in it"}
    clearance.accept(bases[0], "")
    order(holder)
