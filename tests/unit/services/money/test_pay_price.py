"""One transaction where token and signer allow it, two where they do not, and never more than the price is allowed."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from tests.fakes.chain import MemoryMarket, MemorySender
from tests.fakes.state import item_in
from tests.fakes.world import Fuse, Member, World, every_fuse
from tests.waiting import until
from viz_node.domain.answer import as_json
from viz_node.domain.decide_purchase import AskedPurchase
from viz_node.domain.ids import TokenAmount, format_coin
from viz_node.domain.job import JobState
from viz_node.domain.purposes import Purpose
from viz_node.domain.transaction import TypedData
from viz_node.errors import DeadlineError, InsufficientFundsError, RefusedError, TransactionRevertedError
from viz_node.services.money.quote_payment import APPROVAL_PER_REVOCATION, CALL_PER_APPROVAL
from viz_node.services.money.sign_permit import PERMIT_SECONDS
from viz_node.services.money.transact import Patience

PRICE = TokenAmount(5_000_000)
GAS = 46_000 * 100


async def market(tmp_path: Path, is_escrowed: bool = False) -> tuple[World, Member, Member]:
    world = World(tmp_path)
    holder, peer = world.node("holder"), world.node("peer", 3 * PRICE)
    await holder.sell("elsin", is_escrowed=is_escrowed)
    peer.hear()
    return world, holder, peer


async def buy(peer: Member) -> str:
    (job,) = await peer.live(("license", {"adapter": "elsin", "max_price": PRICE}))
    return job.error if job.state is not JobState.DONE else ""


def sent(world: World, member: Member) -> int:
    return world.chain.nonces.get(member.keys.account, 0)


@pytest.mark.parametrize("is_escrowed", [False, True])
async def test_license__token_with_permits__one_transaction_and_no_allowance_left(
    tmp_path: Path, is_escrowed: bool
) -> None:
    world, _, peer = await market(tmp_path, is_escrowed)
    assert await buy(peer) == ""
    assert (sent(world, peer), peer.tokens) == (1, 2 * PRICE)
    assert world.chain.state.allowed[peer.keys.account] == 0


async def test_license__token_without_permits__approval_first(tmp_path: Path) -> None:
    world, _, peer = await market(tmp_path)
    world.chain.has_permits = False
    assert await buy(peer) == ""
    assert (sent(world, peer), peer.tokens) == (2, 2 * PRICE)


async def test_license__allowance_is_there__neither_permit_nor_approval(tmp_path: Path) -> None:
    world, _, peer = await market(tmp_path)
    world.chain.state.allowed[peer.keys.account] = PRICE
    assert await buy(peer) == ""
    assert (sent(world, peer), world.chain.state.permits) == (1, {})


async def strict_market(directory: Path, left: int) -> tuple[World, Member, Member]:
    """A token as USDT: no permits, approvals only from or to zero; `left` is allowed by an earlier purchase."""
    world, holder, peer = await market(directory)
    world.chain.has_permits, world.chain.approves_from_zero_only = False, True
    world.chain.state.allowed[peer.keys.account] = left
    return world, holder, peer


async def test_license__allowance_left_over_is_too_small__is_taken_back_and_given_anew(tmp_path: Path) -> None:
    world, _, peer = await strict_market(tmp_path, PRICE - 1)
    assert await buy(peer) == ""
    assert (sent(world, peer), peer.tokens) == (3, 2 * PRICE)
    assert world.chain.state.allowed[peer.keys.account] == 0


async def test_license__allowance_left_over__killed_at_every_call__is_paid_once(tmp_path: Path) -> None:
    fuse, asked = Fuse(), ("license", {"adapter": "elsin", "max_price": PRICE})
    _, _, counted = await strict_market(tmp_path / "count", PRICE - 1)
    counted.start(fuse)
    await counted.live(asked)
    assert fuse.calls.count("MemorySender.broadcast") == 3
    for number, deadly in enumerate(every_fuse(len(fuse.calls))):
        world, _, peer = await strict_market(tmp_path / str(number), PRICE - 1)
        peer.start(deadly)
        for job in await peer.survive(asked):
            assert job.state is JobState.DONE, (deadly.calls[-1], job.error)
            assert (peer.tokens, world.chain.state.allowed[peer.keys.account]) == (2 * PRICE, 0)


async def test_execute__approval_is_in_no_block_yet__is_waited_for_before_another_is_signed(tmp_path: Path) -> None:
    world, _, peer = await strict_market(tmp_path, 0)
    payer = Payer(world, peer)
    world.chain.mines = False
    for _ in range(2):
        with pytest.raises(DeadlineError):
            await payer.pay()
    assert len(peer.store.outbox.pending_outbox()) == 1
    world.chain.mines = True
    world.chain.mine()
    await payer.pay()
    assert payer.result == (2, 2 * PRICE, 0)


async def test_plan__allowance_left_over__counts_both_transactions(tmp_path: Path) -> None:
    _, _, peer = await strict_market(tmp_path, PRICE - 1)
    allow, pay = as_json(await peer.purchase_plans.license("elsin", AskedPurchase(PRICE)))
    assert allow["gas"] == format_coin((1 + APPROVAL_PER_REVOCATION) * GAS)
    assert pay["gas"] == format_coin(CALL_PER_APPROVAL * APPROVAL_PER_REVOCATION * GAS)


class Refusing(MemorySender):
    """A signer whose rules allow no typed data."""

    asks_nobody = False

    def sign_typed_data(self, data: TypedData) -> bytes:
        raise RefusedError("the signer refused eth_signTypedData")


async def test_license__signer_without_typed_data__approval_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, _, peer = await market(tmp_path)
    monkeypatch.setattr(world, "sender", lambda member: Refusing(world.chain, member.keys.account))
    peer.start()
    assert await buy(peer) == ""
    assert (sent(world, peer), peer.tokens) == (2, 2 * PRICE)


async def test_license__token_refuses_the_permit__approval_first(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    world, _, peer = await market(tmp_path)
    monkeypatch.setattr(MemoryMarket, "takes_permit", lambda *_: False)
    assert await buy(peer) == ""
    assert (sent(world, peer), peer.tokens) == (2, 2 * PRICE)


class Payer:
    """The purchase of the first offer, below the job that orders it."""

    def __init__(self, world: World, member: Member, patience_seconds: float = 0.05) -> None:
        member.treasury._patience = Patience(mined_seconds=patience_seconds)
        self.world, self.member, self.payments = world, member, member.payments

    def make_call(self) -> Any:
        item = item_in(self.world.chain.state, 1)
        return self.world.market().prepare_buy(item, self.member.keys.account, PRICE, b"\4" * 32)

    async def pay(self, order_id: str = "buy") -> str:
        return await self.payments.execute(order_id, PRICE, self.make_call, Purpose("buy"))

    @property
    def result(self) -> tuple[int, int, int]:
        """Transactions sent, tokens left, and what the market may still take."""
        state, account = self.world.chain.state, self.member.keys.account
        return sent(self.world, self.member), state.tokens[account], state.allowed.get(account, 0)


async def test_execute__permit__is_of_the_amount_and_short(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world, _, peer = await market(tmp_path)
    permits, make = [], MemoryMarket.permit_to_sign
    monkeypatch.setattr(MemoryMarket, "permit_to_sign", lambda *values: permits.append(make(*values)) or permits[-1])
    await Payer(world, peer).pay()
    (permit,) = permits
    assert permit.message["value"] == PRICE
    assert 0 < permit.message["deadline"] - world.chain.time <= PERMIT_SECONDS


async def test_execute__permit_used_up_by_a_stranger__is_paid_all_the_same(tmp_path: Path) -> None:
    world, _, peer = await market(tmp_path)
    payer, account = Payer(world, peer), peer.keys.account
    world.chain.mines = False
    with pytest.raises(DeadlineError):
        await payer.pay()
    world.chain.state.permits[account], world.chain.state.allowed[account] = 1, PRICE
    world.chain.mines = True
    world.chain.mine()
    await payer.pay()
    assert payer.result == (1, 2 * PRICE, 0)


async def test_execute__permit_runs_out_in_the_pool__refused_and_ordered_anew_with_another(tmp_path: Path) -> None:
    world, _, peer = await market(tmp_path)
    payer = Payer(world, peer)
    world.chain.mines = False
    with pytest.raises(DeadlineError):
        await payer.pay()
    world.chain.mines = True
    world.chain.time += PERMIT_SECONDS
    world.chain.mine()
    with pytest.raises(TransactionRevertedError):
        await payer.pay()
    assert payer.result == (1, 3 * PRICE, 0)
    await payer.pay()
    assert payer.result == (2, 2 * PRICE, 0)


async def test_execute__earlier_payment_is_in_no_block_yet__waits_and_signs_nothing(tmp_path: Path) -> None:
    world, _, peer = await market(tmp_path)
    payer = Payer(world, peer)
    world.chain.mines = False
    with pytest.raises(DeadlineError, match="is in no block after"):
        await payer.pay()
    with pytest.raises(DeadlineError, match="earlier payment"):
        await payer.pay("another")
    assert len(peer.store.outbox.pending_outbox()) == 1


async def test_execute__block_with_the_payment_is_reorganised_away__is_sent_again_and_paid_once(tmp_path: Path) -> None:
    world, _, peer = await market(tmp_path)
    peer.confirm_after(2)
    payer = Payer(world, peer, 2.0)
    paying = asyncio.create_task(payer.pay())
    await until(lambda: payer.result[0] == 1, 10)
    world.chain.undo(1)
    assert payer.result == (0, 3 * PRICE, 0)
    await until(lambda: payer.result[0] == 1, 10)
    world.chain.mine()
    world.chain.mine()
    await paying
    assert payer.result == (1, 2 * PRICE, 0)


@pytest.mark.parametrize("has_permits", [True, False])
@pytest.mark.parametrize("is_escrowed", [False, True])
async def test_plan__purchase__shows_amount_gas_consequence_and_who_is_paid(
    tmp_path: Path, is_escrowed: bool, has_permits: bool
) -> None:
    world, holder, peer = await market(tmp_path, is_escrowed)
    world.chain.has_permits = has_permits
    plan = as_json(await peer.purchase_plans.license("elsin", AskedPurchase(PRICE)))
    pay = plan[-1]
    assert [row["amount"] for row in plan] == (["5.00"] if has_permits else ["", "5.00"])
    assert pay["gas"] == format_coin(GAS if has_permits else CALL_PER_APPROVAL * GAS)
    told = "comes back if that takes longer than 10 minutes" if is_escrowed else "seller's at once"
    assert told in pay["consequence"]
    assert {part["who"]: part["amount"] for part in pay["paid_to"]} == {
        "the seller": "4.85",
        "the platform: 3 %, fixed permanently": "0.15",
    }
    assert (sent(world, peer), world.chain.state.permits, peer.store.outbox.pending_outbox()) == (0, {}, [])
    if not is_escrowed:
        assert "answers now" in pay["consequence"]
        holder.network.is_up = False
        (*_, pay) = as_json(await peer.purchase_plans.license("elsin", AskedPurchase(PRICE)))
        assert "does not answer now" in pay["consequence"]


async def test_plan__signer_elsewhere__is_not_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world, _, peer = await market(tmp_path)
    monkeypatch.setattr(world, "sender", lambda member: Refusing(world.chain, member.keys.account))
    monkeypatch.setattr(Refusing, "sign_typed_data", None)
    peer.start()
    (pay,) = as_json(await peer.purchase_plans.license("elsin", AskedPurchase(PRICE)))
    assert pay["gas"] == format_coin(CALL_PER_APPROVAL * GAS)


async def test_plan__too_few_tokens__is_said_before_anything_is_signed(tmp_path: Path) -> None:
    world, _, peer = await market(tmp_path)
    world.chain.state.tokens[peer.keys.account] = PRICE - 1
    with pytest.raises(InsufficientFundsError):
        as_json(await peer.purchase_plans.license("elsin", AskedPurchase(PRICE)))
