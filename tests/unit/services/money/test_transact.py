"""The transaction pipeline on a chain in memory: whatever a crash or the chain does, an order comes to one end."""

from collections.abc import Callable
from typing import Any

import pytest

from tests.fakes.chain import MemoryCall, MemoryChain, MemorySender, State
from tests.fakes.store import MemoryStore
from tests.fakes.world import Fuse, Fused, Killed, every_fuse
from viz_node.domain.ids import Account
from viz_node.domain.purposes import Purpose
from viz_node.domain.records import OutboxEntry
from viz_node.errors import ChainUnavailableError, DeadlineError, TransactionRevertedError
from viz_node.services.money.transact import Patience, Treasury

ME = Account("0x" + "11" * 20)
SHOWN, BOOKED = 2, 5


class Desk:
    """A treasury on its store and chain; `pay` moves one token from this account to another."""

    def __init__(self, shown: int = 0, booked: int = 0) -> None:
        self.chain, self.store = MemoryChain(), MemoryStore()
        self.chain.state.tokens = {ME: 10, "shop": 0}
        self.sender = MemorySender(self.chain, ME, shown, booked)
        self.undone: list[OutboxEntry] = []
        self.start()

    def start(self, fuse: Fuse | None = None) -> None:
        fuse = fuse or Fuse()
        store, sender = Fused(self.store.outbox, fuse), Fused(self.sender, fuse)
        patience = Patience(mined_seconds=0.1, shown_seconds=0.1, doubt_seconds=0)
        self.treasury = Treasury(store, sender, lambda: 1, patience, self.undone.append)

    async def pay(self, order_id: str) -> str:
        return await self.treasury.execute(order_id, payment, Purpose("pay"))

    async def pay_in_vain(self, order_id: str) -> None:
        with pytest.raises(DeadlineError):
            await self.pay(order_id)

    def mine(self, blocks: int) -> None:
        for _ in range(blocks):
            self.chain.mine()

    def mine_nothing(self, blocks: int) -> None:
        """Blocks without the transactions that wait."""
        waiting, self.chain.pool = self.chain.pool, {}
        self.mine(blocks)
        self.chain.pool = waiting

    def states(self) -> dict[str, str]:
        return {entry.order_id: entry.state for entry in self.store.outbox.rows.values()}

    def attempts(self) -> list[str]:
        return [entry.state for entry in self.store.outbox.rows.values()]

    @property
    def paid(self) -> int:
        return self.chain.state.tokens["shop"]


def payment() -> MemoryCall:
    def apply(state: State, account: str, _: int) -> None:
        if not state.tokens[account]:
            raise TransactionRevertedError("nothing left")
        state.tokens[account] -= 1
        state.tokens["shop"] += 1

    return MemoryCall("pay one", apply)


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def slow() -> Desk:
    """A block is shown two blocks later, and booked five blocks later."""
    return Desk(SHOWN, BOOKED)


async def test_execute__same_order_again__is_sent_once(desk: Desk) -> None:
    first = await desk.pay("a")
    assert await desk.pay("a") == first
    assert (desk.paid, desk.states()) == (1, {"a": "final"})


async def test_execute__before_the_chain_hears_of_it__stands_in_the_outbox(desk: Desk, monkeypatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(desk.chain, "take", lambda raw: seen.append(desk.store.outbox.pending_outbox()[0]))
    await desk.pay_in_vain("a")
    assert (seen[0].state, seen[0].nonce, desk.states()) == ("signed", 0, {"a": "unknown"})


async def test_execute__killed_at_every_call__pays_exactly_once() -> None:
    counted = Desk()
    fuse = Fuse()
    counted.start(fuse)
    await counted.pay("a")
    assert len(fuse.calls) > 8
    for deadly in every_fuse(len(fuse.calls)):
        desk = Desk()
        desk.start(deadly)
        with pytest.raises(Killed):
            await desk.pay("a")
        desk.start()
        await desk.treasury.recover()
        await desk.pay("a")
        assert (desk.paid, desk.states()) == (1, {"a": "final"}), deadly.calls[-1]


async def test_execute__reorganised_and_killed_at_every_call__pays_exactly_once() -> None:
    async def lose(desk: Desk, fuse: Fuse | None = None) -> None:
        await desk.pay_in_vain("a")
        desk.chain.undo(1)
        desk.chain.pool.clear()
        desk.start(fuse)
        await desk.treasury.recover()
        desk.mine(BOOKED)
        await desk.pay("a")

    counted, fuse = Desk(SHOWN, BOOKED), Fuse()
    await lose(counted, fuse)
    for deadly in every_fuse(len(fuse.calls)):
        desk = Desk(SHOWN, BOOKED)
        with pytest.raises(Killed):
            await lose(desk, deadly)
        desk.start()
        await desk.treasury.recover()
        desk.mine(BOOKED)
        await desk.pay("a")
        await desk.treasury.recover()
        assert (desk.paid, desk.states()) == (1, {"a": "final"}), deadly.calls[-1]


async def test_submit__killed_at_every_call__waits_for_nothing_and_pays_exactly_once() -> None:
    counted = Desk()
    fuse = Fuse()
    counted.start(fuse)
    await counted.treasury.submit("a", payment, Purpose("pay"))
    for deadly in every_fuse(len(fuse.calls)):
        desk = Desk()
        desk.chain.mines = False
        desk.start(deadly)
        with pytest.raises(Killed):
            await desk.treasury.submit("a", payment, Purpose("pay"))
        desk.start()
        await desk.treasury.recover()
        await desk.treasury.submit("a", payment, Purpose("pay"))
        desk.chain.mine()
        await desk.treasury.recover()
        await desk.treasury.submit("a", payment, Purpose("pay"))
        assert (desk.paid, desk.states()) == (1, {"a": "final"}), deadly.calls[-1]


async def test_submit__would_be_refused__says_so_and_leaves_nothing(desk: Desk) -> None:
    desk.chain.state.tokens[ME] = 0
    with pytest.raises(TransactionRevertedError):
        await desk.treasury.submit("a", payment, Purpose("pay"))
    assert desk.attempts() == []


async def test_recover__sent_but_never_mined_in_time__is_booked_with_the_same_bytes(desk: Desk) -> None:
    desk.chain.mines = False
    await desk.pay_in_vain("a")
    await desk.treasury.recover()
    assert desk.states() == {"a": "unknown"}
    desk.chain.mines = True
    desk.chain.pool.clear()
    desk.start()
    await desk.treasury.recover()
    assert (desk.paid, desk.states(), len(desk.chain.receipts)) == (1, {"a": "final"}, 1)


async def test_recover__mined_while_the_node_was_down__is_booked(desk: Desk) -> None:
    desk.chain.mines = False
    await desk.pay_in_vain("a")
    desk.chain.mine()
    await desk.treasury.recover()
    assert (desk.paid, desk.states()) == (1, {"a": "final"})


async def test_execute__another_order_is_open__takes_the_next_nonce_and_both_are_paid(desk: Desk) -> None:
    desk.chain.mines = False
    await desk.pay_in_vain("a")
    await desk.pay_in_vain("b")
    assert [entry.nonce for entry in desk.store.outbox.pending_outbox()] == [0, 1]
    desk.chain.mine()
    await desk.treasury.recover()
    assert (desk.paid, desk.states()) == (2, {"a": "final", "b": "final"})


async def test_execute__the_pool_forgot_an_earlier_order__the_gap_is_filled(desk: Desk) -> None:
    desk.chain.mines = False
    await desk.pay_in_vain("a")
    desk.chain.pool.clear()  # as after a restart of the endpoint
    desk.chain.mines = True
    await desk.pay("b")
    await desk.treasury.recover()
    assert (desk.paid, desk.states()) == (2, {"a": "final", "b": "final"})


async def test_step__not_mined_for_some_blocks__is_replaced_with_higher_fees_and_paid_once(desk: Desk) -> None:
    desk.chain.least_price, desk.chain.mines = 10**9, False
    await desk.pay_in_vain("a")
    desk.mine(3)
    await desk.treasury.recover()
    assert desk.attempts() == ["unknown"]
    desk.chain.least_price = 112
    desk.sender.next_nonce = lambda: 1  # the pool keeps the cheap one, and no miner takes it
    desk.mine(1)
    await desk.treasury.recover()
    assert desk.attempts() == ["unknown", "sent"]
    assert [entry.nonce for entry in desk.store.outbox.rows.values()] == [0, 0]
    desk.mine(1)
    await desk.treasury.recover()
    assert (desk.paid, desk.attempts()) == (1, ["replaced", "final"])
    assert await desk.pay("a") == list(desk.store.outbox.rows)[1]


async def test_step__killed_at_every_call_of_a_replacement__pays_exactly_once() -> None:
    async def raise_fees(desk: Desk, fuse: Fuse) -> None:
        desk.chain.mines = False
        await desk.pay_in_vain("a")
        desk.mine_nothing(4)
        desk.start(fuse)
        await desk.treasury.recover()

    fuse = Fuse()
    counted = Desk()
    await raise_fees(counted, fuse)
    assert counted.attempts() == ["unknown", "sent"]
    for deadly in every_fuse(len(fuse.calls)):
        desk = Desk()
        with pytest.raises(Killed):
            await raise_fees(desk, deadly)
        desk.start()
        await desk.treasury.recover()
        desk.mine(1)
        await desk.treasury.recover()
        assert (desk.paid, desk.attempts()) == (1, ["replaced", "final"]), deadly.calls[-1]


async def test_step__the_cheaper_attempt_is_mined_after_all__wins(desk: Desk) -> None:
    desk.chain.mines = False
    await desk.pay_in_vain("a")
    first = dict(desk.chain.pool)
    desk.chain.pool.clear()
    desk.sender.next_nonce = lambda: 1
    desk.mine(4)
    await desk.treasury.recover()
    assert desk.attempts() == ["unknown", "sent"]
    desk.chain.pool = first
    desk.mine(1)
    await desk.treasury.recover()
    assert (desk.paid, desk.attempts()) == (1, ["final", "replaced"])
    assert await desk.pay("a") == next(iter(desk.store.outbox.rows))


async def test_settle__nonce_was_spent_elsewhere__fails_and_the_next_try_pays(desk: Desk) -> None:
    desk.chain.mines = False
    await desk.pay_in_vain("a")
    desk.chain.pool.clear()
    other = desk.sender.sign(MemoryCall("elsewhere", lambda *_: None), 0)
    desk.sender.broadcast(other.raw)
    desk.chain.mines = True
    desk.chain.mine()

    with pytest.raises(TransactionRevertedError, match="in use elsewhere"):
        await desk.pay("a")
    assert (desk.paid, desk.states()) == (0, {"a": "failed"})
    await desk.pay("a")
    assert (desk.paid, desk.undone) == (1, [])


async def test_settle__nonce_is_counted_before_the_receipt_is_told__is_not_paid_again(desk: Desk, monkeypatch) -> None:
    """As Anvil does in the middle of a block, and servers behind one name that are not equally far."""
    tell, asked = desk.sender.find_receipt, []

    def find_late(tx_hash: str) -> Any:
        asked.append(desk.sender.booked_nonce())
        return None if asked.count(1) == 1 else tell(tx_hash)

    monkeypatch.setattr(desk.sender, "find_receipt", find_late)
    await desk.pay("a")
    assert (desk.paid, desk.states(), asked) == (1, {"a": "final"}, [0, 1, 1])


async def test_settle__nonce_was_spent_in_a_block_that_is_not_booked__is_not_signed_anew(slow: Desk) -> None:
    slow.chain.mines = False
    await slow.pay_in_vain("a")
    slow.chain.pool.clear()
    slow.sender.broadcast(slow.sender.sign(MemoryCall("elsewhere", lambda *_: None), 0).raw)
    slow.mine(BOOKED)
    await slow.pay_in_vain("a")
    assert slow.attempts() == ["unknown"]
    slow.mine(1)
    with pytest.raises(TransactionRevertedError, match="in use elsewhere"):
        await slow.pay("a")


async def test_settle__reverted_on_the_chain__fails_and_does_not_block_others(desk: Desk) -> None:
    desk.chain.mines = False
    await desk.pay_in_vain("a")
    desk.chain.state.tokens[ME] = 0
    desk.chain.mines = True
    desk.chain.mine()
    desk.chain.state.tokens[ME] = 1
    await desk.pay("b")
    await desk.treasury.recover()
    assert (desk.paid, desk.states()) == (1, {"a": "failed", "b": "final"})


async def test_settle__reverted_in_a_block_that_is_not_booked__is_not_signed_anew(slow: Desk) -> None:
    slow.chain.mines = False
    await slow.pay_in_vain("a")
    slow.chain.state.tokens[ME] = 0
    slow.mine(1)
    for _ in range(2):
        with pytest.raises(TransactionRevertedError, match="refused"):
            await slow.pay("a")
    slow.chain.state.tokens[ME] = 1
    assert slow.attempts() == ["reverted"]
    slow.mine(BOOKED)
    with pytest.raises(TransactionRevertedError, match="refused"):
        await slow.pay("a")
    assert slow.attempts() == ["failed"]
    await slow.pay_in_vain("a")
    assert slow.attempts() == ["failed", "unknown"]


async def test_settle__chain_was_reset__says_so_and_sends_nothing(desk: Desk) -> None:
    await desk.pay("a")
    desk.chain.mines = False
    await desk.pay_in_vain("b")
    desk.chain.mines = True
    desk.chain.forget()
    desk.chain.state.tokens = {ME: 10, "shop": 0}
    for attempt in (desk.pay("b"), desk.pay("c"), desk.treasury.recover()):
        with pytest.raises(ChainUnavailableError, match="reset"):
            await attempt
    assert (desk.paid, desk.chain.pool, desk.states()["b"]) == (0, {}, "unknown")


async def test_settle__booked_order_whose_receipt_was_pruned__is_not_paid_again(desk: Desk) -> None:
    first = await desk.pay("a")
    desk.chain.receipts.clear()
    assert await desk.pay("a") == first
    assert desk.paid == 1


async def test_settle__mined__is_shown_and_booked_only_as_deep_as_the_policy_says(slow: Desk) -> None:
    await slow.pay_in_vain("a")
    assert (slow.states(), slow.paid) == ({"a": "mined"}, 1)
    for state, blocks in (("mined", 1), ("confirmed", 1), ("confirmed", 2), ("final", 1)):
        slow.mine(blocks)
        await slow.treasury.recover()
        assert slow.states() == {"a": state}


async def test_settle__reorganisation__is_sent_again_as_it_was_and_booked_where_it_is_now(slow: Desk) -> None:
    await slow.pay_in_vain("a")
    slow.mine(SHOWN)
    first = await slow.pay("a")
    (before,) = slow.store.outbox.outbox_of("a")
    slow.chain.mines = False
    slow.chain.undo(3)
    await slow.treasury.recover()
    assert (slow.paid, slow.states()) == (0, {"a": "sent"})
    slow.mine(1)
    await slow.treasury.recover()
    (after,) = slow.store.outbox.outbox_of("a")
    assert (slow.paid, after.state, after.tx_hash) == (1, "mined", first)
    assert (after.block, after.block_hash) != (before.block, before.block_hash)
    slow.mine(BOOKED)
    await slow.treasury.recover()
    assert (slow.states(), slow.undone) == ({"a": "final"}, [])


REASONS: dict[str, Callable[[Desk], None]] = {
    "refused": lambda desk: desk.chain.state.tokens.update({ME: 0}),
    "elsewhere": lambda desk: desk.sender.broadcast(desk.sender.sign(MemoryCall("elsewhere", lambda *_: None), 0).raw),
}


@pytest.mark.parametrize("reason", REASONS)
async def test_settle__reorganisation_that_undoes_a_shown_order__is_told_once_it_is_booked(
    slow: Desk, reason: str
) -> None:
    await slow.pay_in_vain("a")
    slow.mine(SHOWN)
    await slow.pay("a")
    slow.chain.mines = False
    slow.chain.undo(3)
    REASONS[reason](slow)
    if reason == "elsewhere":
        slow.mine(1)
    await slow.treasury.recover()
    slow.mine(1)
    await slow.treasury.recover()
    assert slow.undone == []
    slow.mine(BOOKED)
    await slow.treasury.recover()
    assert [entry.order_id for entry in slow.undone] == ["a"]
    assert (slow.states(), slow.paid) == ({"a": "failed"}, 0)
    await slow.treasury.recover()
    assert len(slow.undone) == 1
