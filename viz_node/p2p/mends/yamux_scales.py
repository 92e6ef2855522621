"""What lies unread on the connections of one host: 64 MiB on one at most, 256 MiB on all; the heaviest one pays.

The library bounds each stream's window but not their sum, so that a stranger with many streams or connections fills
the memory. Kept true by tests/unit/p2p/mends/test_yamux.py.
"""

from typing import Final, Protocol

MAX_UNREAD_BYTES: Final = 64 << 20
MAX_UNREAD_BYTES_IN_ALL: Final = 256 << 20


class Weighed(Protocol):
    """A connection, as the scales see it."""

    def unread_bytes(self) -> int:
        """Bytes that arrived and were not read yet."""

    async def drop(self) -> None:
        """End the connection, and with it all its streams."""


class Scales:
    """What lies unread on all connections of one host, weighed anew when there may be too much."""

    def __init__(self) -> None:
        self._unread: dict[Weighed, int] = {}

    async def weigh(self, connection: Weighed) -> bool:
        """Whether this connection may go on; the heaviest of all is closed when they are too heavy together."""
        self._unread[connection] = connection.unread_bytes()
        if self._unread[connection] > MAX_UNREAD_BYTES:
            return False
        if sum(self._unread.values()) <= MAX_UNREAD_BYTES_IN_ALL:
            return True
        self._unread = {each: each.unread_bytes() for each in self._unread}
        if sum(self._unread.values()) <= MAX_UNREAD_BYTES_IN_ALL:
            return True
        heaviest = max(self._unread, key=lambda each: self._unread[each])
        if heaviest is connection:
            return False
        await heaviest.drop()
        return True

    def forget(self, connection: Weighed) -> None:
        """It has ended."""
        self._unread.pop(connection, None)
