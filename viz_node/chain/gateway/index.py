"""What follows from a market's logs, kept from look to look, so that each look reads only the newest blocks.

Logs that lie `SETTLED_DEPTH` blocks below the head are folded into a state once. Newer ones are read again at every
look: a reorganisation may take them back, and of several machines behind one address some lag behind the others and
give fewer logs than there are. The hash of the last folded block is compared at every look; if the chain has another
block there, everything is read again. `tests/integration/test_chain_index.py`.
"""

import copy
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from viz_node.chain.node.logs import Log, read_logs
from viz_node.chain.node.rpc import JsonRpc, to_int
from viz_node.errors import ChainUnavailableError

SETTLED_DEPTH = 64
"""Two epochs of Ethereum: blocks below are final there."""
_MOST_KEPT = 256

Topics = tuple[str | tuple[str, ...] | None, ...]


@dataclass(frozen=True)
class Fold:
    """How logs become a state: `empty` makes the first one, `apply` adds a log and leaves all nested values alone."""

    empty: Callable[[], Any]
    apply: Callable[[Any, Log], None]


LOGS = Fold(list, list.append)


@dataclass
class _Followed:
    """The state through the block `through`, whose hash is `anchor`, and the one at the head that was `seen` last."""

    state: Any
    through: int
    anchor: str = ""
    seen: str = ""
    state_at_head: Any = None
    lock: threading.Lock = field(default_factory=threading.Lock)


class LogIndex:
    """The logs of one contract from its first block on; may be used from several threads."""

    def __init__(self, rpc: JsonRpc, address: str, first_block: int) -> None:
        self._rpc = rpc
        self._address = address
        self._first = first_block
        self._lock = threading.Lock()
        self._followed: OrderedDict[tuple[Topics, Fold], _Followed] = OrderedDict()
        self._hashes: tuple[str, dict[int, str]] = ("", {})

    def look(self, topics: Topics, fold: Fold, head: dict[str, Any]) -> Any:
        """The state at `head` after all logs with these topics; it is shared, so nobody may change it.

        Raises: ChainUnavailableError, RpcRefusedError.
        """
        followed = self._of(topics, fold)
        with followed.lock:
            if followed.seen != head["hash"]:
                self._advance(followed, topics, fold, head)
            return followed.state_at_head

    def _of(self, topics: Topics, fold: Fold) -> _Followed:
        key = topics, fold
        with self._lock:
            if key not in self._followed:
                self._followed[key] = _Followed(fold.empty(), self._first - 1)
            self._followed.move_to_end(key)
            if len(self._followed) > _MOST_KEPT:
                self._followed.popitem(last=False)
            return self._followed[key]

    def _advance(self, followed: _Followed, topics: Topics, fold: Fold, head: dict[str, Any]) -> None:
        end, head_hash = to_int(head.get("number")), str(head["hash"])
        if followed.through >= self._first and self._hash_of(followed.through, head_hash) != followed.anchor:
            followed.state, followed.through = fold.empty(), self._first - 1
        settled = max(followed.through, end - SETTLED_DEPTH)
        anchor = self._hash_of(settled, head_hash) if settled >= self._first else ""
        state, tail = copy.copy(followed.state), []
        for log in read_logs(self._rpc, self._address, topics, followed.through + 1, end):
            if log.block_number > settled:
                tail.append(log)
            else:
                fold.apply(state, log)
        if anchor:
            followed.state, followed.through, followed.anchor = state, settled, anchor
        state = copy.copy(state)
        for log in tail:
            fold.apply(state, log)
        followed.state_at_head, followed.seen = state, head_hash

    def _hash_of(self, number: int, head_hash: str) -> str:
        """The chain's hash of a block, empty where it has no such block; asked once per head."""
        with self._lock:
            if self._hashes[0] != head_hash:
                self._hashes = head_hash, {}
            known = self._hashes[1]
            if number not in known:
                block = self._rpc.call("eth_getBlockByNumber", hex(number), False)
                if block is not None and not (isinstance(block, dict) and isinstance(block.get("hash"), str)):
                    raise ChainUnavailableError("the chain's answer about a block is malformed", "use another RPC")
                known[number] = "" if block is None else str(block["hash"])
            return known[number]
