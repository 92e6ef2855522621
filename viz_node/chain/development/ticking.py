"""Blocks for a development chain on which nothing happens, so that its time goes on and deadlines come.

The chain's time is its latest block's, and Anvil makes a block for a transaction only. A block at a fixed distance
would cost 1.7 KB of state each, day and night. Deadlines are seen late by as much as blocks are apart, which matters
less the longer they are: so the pause grows with the time since the last transaction, from ten seconds to ten minutes.
Any number of nodes may do this for one chain: each counts the others' blocks.
`tests/unit/chain/development/test_ticking.py`.
"""

import time
from collections.abc import Callable

from viz_node.chain.node.rpc import JsonRpc, RpcRefusedError, to_int
from viz_node.errors import ChainUnavailableError

SHORTEST_SECONDS = 10.0
LONGEST_SECONDS = 600.0
# A deadline of ten minutes comes half a minute late at most.
PART = 20
_MOST_BLOCKS = 100


class Ticker:
    """Watches one development chain; `step` is to be called every few seconds."""

    def __init__(self, rpc: JsonRpc, clock: Callable[[], float] = time.monotonic) -> None:
        self._rpc = rpc
        self._clock = clock
        self._latest = -1
        self._changed = self._used = 0.0

    def step(self) -> int:
        """Make a block if it is time, as it is at first: nobody knows how long the chain was left. The latest block.

        Raises: ChainUnavailableError.
        """
        try:
            return self._step()
        except RpcRefusedError as error:
            raise ChainUnavailableError(f"{self._rpc.name} makes no blocks: {error.message}") from error

    def _step(self) -> int:
        latest, now = to_int(self._rpc.call("eth_blockNumber")), self._clock()
        is_first = self._latest < 0
        if is_first or self._is_used_after(self._latest, latest):
            self._used = now
        if latest != self._latest:
            self._latest, self._changed = latest, now
        pause = min(LONGEST_SECONDS, max(SHORTEST_SECONDS, (now - self._used) / PART))
        if is_first or now - self._changed >= pause:
            self._rpc.call("evm_mine")
            self._latest, self._changed = latest + 1, now
        return self._latest

    def _is_used_after(self, earlier: int, latest: int) -> bool:
        """Whether a block since then has a transaction."""
        numbers = range(max(earlier, latest - _MOST_BLOCKS) + 1, latest + 1)
        counts = self._rpc.batch([("eth_getBlockTransactionCountByNumber", [hex(number)]) for number in numbers])
        return any(to_int(count) for count in counts)
