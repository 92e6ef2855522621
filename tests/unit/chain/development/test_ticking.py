"""When an idle development chain gets a block."""

from collections.abc import Sequence
from typing import Any

import pytest

from viz_node.chain.development.ticking import LONGEST_SECONDS, PART, SHORTEST_SECONDS, Ticker
from viz_node.chain.node.rpc import JsonRpc, RpcRefusedError
from viz_node.errors import ChainUnavailableError

LOOK_SECONDS = 2
DAY = 86_400


class IdleChain(JsonRpc):
    """Blocks with the time at which each came and how many transactions it has."""

    def __init__(self) -> None:
        super().__init__("http://127.0.0.1:1")
        self.now = 1000.0
        self.blocks: list[tuple[float, int]] = [(0.0, 0)]

    def add(self, transactions: int) -> None:
        self.blocks.append((self.now, transactions))

    def call(self, method: str, *params: Any, shape: Any = Any) -> Any:
        if method == "evm_mine":
            self.add(0)
            return "0x0"
        assert method == "eth_blockNumber"
        return hex(len(self.blocks) - 1)

    def batch(self, requests: Sequence[tuple[str, Sequence[Any]]]) -> list[Any]:
        return [hex(self.blocks[int(params[0], 16)][1]) for _, params in requests]

    def pass_time(self, seconds: float, *tickers: Ticker, look: int = LOOK_SECONDS) -> None:
        for _ in range(int(seconds / look)):
            self.now += look
            for ticker in tickers:
                ticker.step()

    def ticker(self) -> Ticker:
        return Ticker(self, lambda: self.now)


def test_step__first__makes_a_block_at_once() -> None:
    chain = IdleChain()
    assert chain.ticker().step() == 1
    assert chain.blocks[1:] == [(1000.0, 0)]


def test_step__after_a_transaction__any_deadline_is_late_by_a_twentieth_at_most() -> None:
    chain = IdleChain()
    ticker = chain.ticker()
    chain.pass_time(3 * DAY, ticker, look=60)
    chain.add(1)
    used = chain.now
    chain.pass_time(4 * 3600, ticker)
    times = [time - used for time, _ in chain.blocks if time >= used]
    for deadline in (60, 600, 3600, 10_000):
        late = min(time for time in times if time >= deadline) - deadline
        assert late <= max(SHORTEST_SECONDS, deadline / PART) + LOOK_SECONDS


@pytest.mark.parametrize("nodes", [1, 3])
def test_step__chain_idle_for_a_week__few_blocks(nodes: int) -> None:
    chain = IdleChain()
    chain.pass_time(7 * DAY, *[chain.ticker() for _ in range(nodes)], look=20)
    assert 7 * DAY / LONGEST_SECONDS < len(chain.blocks) < 1200


def test_step__chain_in_use__no_blocks_between() -> None:
    chain = IdleChain()
    ticker = chain.ticker()
    ticker.step()
    for _ in range(100):
        chain.add(1)
        chain.pass_time(SHORTEST_SECONDS - LOOK_SECONDS, ticker)
    assert sum(not count for _, count in chain.blocks) == 2


def test_step__many_blocks_since_the_last_look__are_read_in_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    chain, asked = IdleChain(), []
    ticker = chain.ticker()
    ticker.step()
    monkeypatch.setattr(chain, "batch", lambda requests: asked.append(len(requests)) or [])
    chain.blocks += [(chain.now, 0)] * 100_000
    ticker.step()
    assert asked == [100]


def test_step__chain_that_makes_no_blocks_on_demand__says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> Any:
        raise RpcRefusedError("method not found")

    chain = IdleChain()
    monkeypatch.setattr(chain, "call", refuse)
    with pytest.raises(ChainUnavailableError, match="makes no blocks"):
        chain.ticker().step()
