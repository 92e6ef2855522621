"""The queue of what this node publishes in the DHT: one write a second, repeated every three hours.

Peers drop more than ten provider records in ten seconds from one sender.
"""

from collections.abc import Awaitable, Callable
from typing import Final

import trio

from viz_node.p2p.offerings import Offerings

_REPUBLISH_SECONDS: Final = 3 * 3600.0
_PACE_SECONDS: Final = 1.0
_RETRY_SECONDS: Final = 15.0
_LOOK_SECONDS: Final = 0.25

Publish = Callable[[str, str], Awaitable[bool]]
"""Write a record of that kind and key; whether that went well."""


class PublishQueue:
    """Waits while `has_peers` is false; what is not offered any more drops out."""

    def __init__(self, offerings: Offerings, publish: Publish, has_peers: Callable[[], bool]) -> None:
        self._offerings = offerings
        self._publish = publish
        self._has_peers = has_peers
        self._due: dict[tuple[str, str], float] = {}

    def add_announcement(self, adapter_id: str) -> None:
        """Publish it, and that this node serves it, as soon as its turn comes."""
        self._due["value", adapter_id] = self._due["provider", adapter_id] = 0.0

    def add_provided(self, key: str) -> None:
        """Publish that this node serves it, as soon as its turn comes."""
        self._due["provider", key] = 0.0

    def add_offered(self) -> None:
        """Publish all that is offered."""
        for adapter_id in self._offerings.announcements:
            self.add_announcement(adapter_id)
        for key in self._offerings.provided:
            self.add_provided(key)

    def hurry(self) -> None:
        """Publish everything again: there is somebody new to keep it."""
        self._due.update(dict.fromkeys(self._due, 0.0))

    async def run(self) -> None:
        """Publish until cancelled."""
        while True:
            now = trio.current_time()
            ready = next((job for job, due in self._due.items() if due <= now), None)
            if ready is None or not self._has_peers():
                await trio.sleep(_LOOK_SECONDS)
            elif not self._is_wanted(*ready):
                del self._due[ready]
            else:
                self._due[ready] = now + (_REPUBLISH_SECONDS if await self._publish(*ready) else _RETRY_SECONDS)
                await trio.sleep(_PACE_SECONDS)

    def _is_wanted(self, kind: str, key: str) -> bool:
        return key in self._offerings.announcements or (kind == "provider" and key in self._offerings.provided)
