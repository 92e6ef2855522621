"""`/viz/catalog/1.0.0`: the announcements that a peer knows, in pages, for peers that come late."""

import logging
from collections.abc import Callable
from typing import Final

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID

from viz_node.errors import RefusedError, VizNodeError
from viz_node.p2p import wire
from viz_node.p2p.announcements import Announcements
from viz_node.p2p.links import Links
from viz_node.p2p.shares import Shares
from viz_node.p2p.streams import STREAM_FAILURES, abandon, finish, peer_of, read_frame, write_frame

_log = logging.getLogger(__name__)
PROTOCOL: Final = TProtocol("/viz/catalog/1.0.0")
_MAX_PAGES: Final = 50
_MAX_STREAMS: Final = 64
_MAX_STREAMS_PER_PEER: Final = 2
_MAX_READERS: Final = 4


class CatalogProtocol:
    """Both ends; `known` reads, in a thread, what this node has to tell."""

    def __init__(self, links: Links, announcements: Announcements, known: Callable[[], list[bytes]]) -> None:
        self._links = links
        self._announcements = announcements
        self._known = known
        self._shares = Shares(_MAX_STREAMS, _MAX_STREAMS_PER_PEER)
        self._readers = trio.CapacityLimiter(_MAX_READERS)
        links.host.set_stream_handler(PROTOCOL, self._on_stream)

    async def catch_up_with(self, peer: ID) -> int:
        """Take in all that the peer knows; the number of announcements that were new."""
        new = 0
        try:
            for page in range(_MAX_PAGES):
                entries, more = await self._request_page(peer, page * wire.MAX_PAGE_ENTRIES)
                new += sum(self._announcements.offer(entry) for entry in entries)
                if not more or not entries:
                    break
        except (*STREAM_FAILURES, VizNodeError) as error:
            _log.debug("the catalogue of %s: %r", peer, error)
        return new

    async def _request_page(self, peer: ID, offset: int) -> tuple[list[bytes], bool]:
        stream = await self._links.open_stream(peer, PROTOCOL)
        try:
            await write_frame(stream, wire.page_request(offset))
            return wire.parse_page(await read_frame(stream))
        finally:
            await finish(stream)

    async def _on_stream(self, stream: INetStream) -> None:
        peer = peer_of(stream)
        try:
            with self._shares.place(peer) as is_free:
                if not is_free:
                    raise RefusedError("too many at once")
                offset = wire.parse_page_request(await read_frame(stream, max_bytes=wire.PAGE_REQUEST_BYTES))
                async with self._readers:
                    known = await trio.to_thread.run_sync(self._known)
                end = offset + wire.MAX_PAGE_ENTRIES
                await write_frame(stream, wire.page_body(known[offset:end], end < len(known)))
            await finish(stream)
        except (*STREAM_FAILURES, VizNodeError) as error:
            _log.debug("a catalogue request of %s ended early: %r", peer, error)
            await abandon(stream)
