"""A DHT whose places are shared between peers, and whose look-ups ask the network.

The library lets any peer hold all of its twelve places for as long as it likes, with 4 MiB each; it answers a look-up
from its own store, however old, without asking anybody; and it lets what a stranger answers wrongly out in many classes
of exception. Kept true by tests/unit/p2p/mends/test_dht.py.
"""

import logging
import math
from collections.abc import Awaitable, Callable
from typing import Any, Final

import trio
from libp2p.abc import IHost, INetStream
from libp2p.kad_dht import kad_dht
from libp2p.kad_dht.kad_dht import DHTMode, KadDHT
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo

from viz_node.p2p.shares import Shares
from viz_node.p2p.streams import abandon, peer_of

_log = logging.getLogger(__name__)
LOOKUP_SECONDS: Final = 30.0
_STREAM_SECONDS: Final = 60.0
_MAX_MESSAGE_BYTES: Final = 256 << 10
_MAX_STREAMS: Final = 48
_MAX_STREAMS_PER_PEER: Final = 3
_MAX_PROVIDERS: Final = 1000


class BoundedDht(KadDHT):
    """The library's DHT as a server; the methods that begin with `ask` raise nothing for what peers answer."""

    value_store: Any
    provider_store: Any

    def __init__(self, host: IHost) -> None:
        super().__init__(host, DHTMode.SERVER)
        kad_dht.MAX_DHT_MESSAGE_SIZE = _MAX_MESSAGE_BYTES
        self._inbound_limiter = trio.CapacityLimiter(_MAX_STREAMS)
        self._shares = Shares(_MAX_STREAMS, _MAX_STREAMS_PER_PEER)

    async def handle_stream(self, stream: INetStream) -> None:
        """Answer a peer, for a minute at most, if it has a place."""
        with self._shares.place(peer_of(stream)) as is_free, trio.move_on_after(_STREAM_SECONDS):
            if is_free:
                await super().handle_stream(stream)
                return
        await abandon(stream)

    async def ask_for_value(self, key: str) -> list[bytes]:
        """What peers have under the key, and what this node had kept of it and now forgets."""
        kept = self.value_store.get(key.encode())
        self.value_store.remove(key.encode())
        found = await self._ask(LOOKUP_SECONDS, self.get_value, key)
        return [value for value in (found, kept.value if kept else None) if value]

    def keep_value(self, key: str, value: bytes) -> None:
        """Keep it for peers that ask."""
        self.value_store.put(key.encode(), value)

    async def ask_for_providers(self, multihash: str) -> list[PeerInfo]:
        """Whom peers say to serve it, and whom this node has kept."""
        key, providers = bytes.fromhex(multihash), self.provider_store.providers
        kept = providers.pop(key, {})
        found = await self._ask(LOOKUP_SECONDS, self.find_providers, multihash, _MAX_PROVIDERS)
        for peer, record in kept.items():
            providers.setdefault(key, {}).setdefault(peer, record)
        return [*(found or []), *self.provider_store.get_providers(key)]

    async def ask_for_peer(self, peer: ID) -> PeerInfo | None:
        """Where peers say it is."""
        found: PeerInfo | None = await self._ask(LOOKUP_SECONDS, self.find_peer, peer)
        return found

    async def ask_around(self) -> None:
        """Look for peers of all distances."""
        await self._ask(math.inf, self.refresh_routing_table)

    async def _ask(self, seconds: float, look_up: Callable[..., Awaitable[Any]], *arguments: object) -> Any:
        with trio.move_on_after(seconds):
            try:
                return await look_up(*arguments)
            except Exception as error:  # noqa: BLE001
                # A stranger's malformed answer comes out in many classes; a look-up is a hint only.
                _log.info("a DHT lookup failed: %r", error)
        return None
