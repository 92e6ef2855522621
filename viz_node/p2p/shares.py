"""What strangers may hold at the same time: so many places in all, and so many for one peer."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager


class Shares:
    """Places of one protocol; a place is given back when its block ends, however it ends."""

    def __init__(self, in_all: int, per_peer: int) -> None:
        self._in_all = in_all
        self._per_peer = per_peer
        self._held: Counter[str] = Counter()

    @contextmanager
    def place(self, peer: str) -> Iterator[bool]:
        """Whether there was a place for this peer; nothing of the peer's is to be read when there was none."""
        if self._held[peer] >= self._per_peer or self._held.total() >= self._in_all:
            yield False
            return
        self._held[peer] += 1
        try:
            yield True
        finally:
            self._held[peer] -= 1
            if not self._held[peer]:
                del self._held[peer]
