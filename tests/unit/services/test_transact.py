"""The transaction pipeline on a chain in memory: whatever a crash left open comes to one end."""

from typing import Any

import pytest

from tests.fakes.chain import MemoryCall, MemoryChain, MemorySender, State
from tests.fakes.store import MemoryStore
from viz_node.domain.ids import Account
from viz_node.errors import ChainUnavailableError, DeadlineError, TransactionRevertedError
from viz_node.services.transact import Treasury

ME = Account("0x" + "11" * 20)


class Desk:
    """A treasury on its store and chain; `pay` moves one token from this account to another."""

    def __init__(self) -> None:
        self.chain, self.store = MemoryChain(), MemoryStore()
        self.chain.state.tokens = {ME: 10, "shop": 0}
        self.sender = MemorySender(self.chain, ME)
        self.start()

    def start(self) -> None:
        self.treasury = Treasury(self.store, self.sender, lambda: 1, wait_seconds=0.1)

    async def pay(self, order_id: str) -> str:
        return await self.treasury.execute(order_id, payment, {"kind": "pay"})

    def states(self) -> dict[str, str]:
        return {entry.order_id: entry.state for entry in self.store._outbox.values()}

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


async def test_execute__same_order_again__is_sent_once(desk: Desk) -> None:
    first = await desk.pay("a")
    assert await desk.pay("a") == first
    assert (desk.paid, desk.states()) == (1, {"a": "confirmed"})


async def test_execute__before_the_chain_hears_of_it__stands_in_the_outbox(desk: Desk, monkeypatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(desk.chain, "take", lambda raw: seen.append(desk.store.pending_outbox()[0]))
    with pytest.raises(DeadlineError):
        await desk.pay("a")
    assert (seen[0].state, seen[0].nonce, desk.states()) == ("signed", 0, {"a": "unknown"})


async def test_recover__sent_but_never_mined_in_time__is_confirmed_with_the_same_bytes(desk: Desk) -> None:
    desk.chain.mines = False
    with pytest.raises(DeadlineError):
        await desk.pay("a")
    await desk.treasury.recover()
    assert desk.states() == {"a": "unknown"}
    desk.chain.mines = True
    desk.start()
    await desk.treasury.recover()
    assert (desk.paid, desk.states(), len(desk.chain.receipts)) == (1, {"a": "confirmed"}, 1)


async def test_recover__mined_while_the_node_was_down__is_confirmed(desk: Desk) -> None:
    desk.chain.mines = False
    with pytest.raises(DeadlineError):
        await desk.pay("a")
    desk.chain.mine()
    await desk.treasury.recover()
    assert (desk.paid, desk.states()) == (1, {"a": "confirmed"})


async def test_execute__another_order_is_open__is_settled_first_and_keeps_its_nonce(desk: Desk) -> None:
    desk.chain.mines = False
    with pytest.raises(DeadlineError):
        await desk.pay("a")
    desk.chain.pool.clear()  # the pool forgot it, as after a restart of the endpoint
    desk.chain.mines = True
    await desk.pay("b")
    assert (desk.paid, desk.states()) == (2, {"a": "confirmed", "b": "confirmed"})


async def test_execute__open_order_does_not_settle__nothing_new_is_signed(desk: Desk) -> None:
    desk.chain.mines = False
    with pytest.raises(DeadlineError):
        await desk.pay("a")
    with pytest.raises(DeadlineError):
        await desk.pay("b")
    assert desk.states() == {"a": "unknown"}


async def test_settle__nonce_was_spent_elsewhere__fails_and_the_next_try_pays(desk: Desk) -> None:
    desk.chain.mines = False
    with pytest.raises(DeadlineError):
        await desk.pay("a")
    desk.chain.pool.clear()
    other = desk.sender.sign(MemoryCall("elsewhere", lambda *_: None), 0)
    desk.sender.broadcast(other.raw)
    desk.chain.mines = True
    desk.chain.mine()

    with pytest.raises(TransactionRevertedError, match="in use elsewhere"):
        await desk.pay("a")
    assert (desk.paid, desk.states()) == (0, {"a": "failed"})
    await desk.pay("a")
    assert desk.paid == 1


async def test_settle__reverted_on_the_chain__fails_and_does_not_block_others(desk: Desk) -> None:
    desk.chain.mines = False
    with pytest.raises(DeadlineError):
        await desk.pay("a")
    desk.chain.state.tokens[ME] = 0
    desk.chain.mines = True
    desk.chain.mine()
    desk.chain.state.tokens[ME] = 1
    await desk.pay("b")
    assert (desk.paid, desk.states()) == (1, {"a": "failed", "b": "confirmed"})


async def test_settle__chain_was_reset__says_so_and_sends_nothing(desk: Desk) -> None:
    await desk.pay("a")
    desk.chain.mines = False
    with pytest.raises(DeadlineError):
        await desk.pay("b")
    desk.chain.mines = True
    desk.chain.forget()
    desk.chain.state.tokens = {ME: 10, "shop": 0}
    for attempt in (desk.pay("b"), desk.pay("c"), desk.treasury.recover()):
        with pytest.raises(ChainUnavailableError, match="reset"):
            await attempt
    assert (desk.paid, desk.chain.pool, desk.states()["b"]) == (0, {}, "unknown")


async def test_settle__confirmed_order_whose_receipt_was_pruned__is_not_paid_again(desk: Desk) -> None:
    first = await desk.pay("a")
    desk.chain.receipts.clear()
    assert await desk.pay("a") == first
    assert desk.paid == 1


async def test_settle__confirmed_order_that_a_reorganisation_undid__is_sent_again(desk: Desk) -> None:
    first = await desk.pay("a")
    desk.chain.forget()
    desk.chain.state.tokens = {ME: 10, "shop": 0}
    assert await desk.pay("a") == first
    assert desk.paid == 1
