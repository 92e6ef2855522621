"""Announcements on four carriers: gossip pushes, DHT values and provider records are looked up, catalogues catch up.

Which of them counts, `announcements` decides; this module brings the carriers together and greets each new peer.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

import trio
from libp2p.peer.id import ID
from libp2p.tools.anyio_service import background_trio_service

from viz_node.domain.ids import PeerId
from viz_node.errors import PeerUnreachableError, UsageError
from viz_node.p2p.announcements import Announcements, CheckAnnouncement
from viz_node.p2p.catalog import CatalogProtocol
from viz_node.p2p.gossip import Gossip
from viz_node.p2p.host import parse_peer_address
from viz_node.p2p.links import Links
from viz_node.p2p.mends.dht import BoundedDht
from viz_node.p2p.offerings import Offerings
from viz_node.p2p.publish_queue import PublishQueue
from viz_node.p2p.records import AnnouncementRecords, Records
from viz_node.p2p.streams import STREAM_FAILURES

_log = logging.getLogger(__name__)
_SMALL_NETWORK: Final = 20


class Discovery:
    """One per core; `deliver` gets every valid announcement that is newer than what its peer said before."""

    def __init__(
        self,
        links: Links,
        dht: BoundedDht,
        offerings: Offerings,
        check: CheckAnnouncement,
        known: Callable[[], list[bytes]],
        deliver: Callable[[bytes], None],
    ) -> None:
        self._links = links
        self._offerings = offerings
        self._dht: Any = dht
        self._dht.register_validator("viz", AnnouncementRecords(check))
        self._announcements = Announcements(check, deliver)
        self._records = Records(links, dht, offerings, self._announcements)
        self._queue = PublishQueue(offerings, self._records.publish, self._has_peers)
        self._gossip = Gossip(links.host, self._announcements)
        self._catalog = CatalogProtocol(links, self._announcements, known)

    async def run(self, bootstrap: list[str], task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; started once gossip is subscribed."""
        async with background_trio_service(self._dht), trio.open_nursery() as nursery:
            await nursery.start(self._gossip.run)
            self._queue.add_offered()
            nursery.start_soon(self._queue.run)
            nursery.start_soon(self._greet_newcomers)
            nursery.start_soon(self._stay_connected, bootstrap)
            task_status.started()

    async def announce(self, adapter_id: str, announcement: bytes) -> None:
        """Push now and publish in the DHT from the queue. Raises: VerificationError (it is not valid itself)."""
        self._announcements.note_own(adapter_id, announcement)
        self._offerings.announcements[adapter_id] = announcement
        self._queue.add_announcement(adapter_id)
        try:
            await self._gossip.push(announcement)
        except STREAM_FAILURES as error:
            _log.info("an announcement was not pushed (the DHT and catalogues still carry it): %r", error)

    async def provide(self, blob_id: str) -> None:
        """Publish, from the queue, that this node serves the blob."""
        self._offerings.provided[blob_id] = True
        self._queue.add_provided(blob_id)

    async def find_announcement(self, adapter_id: str) -> bytes | None:
        """See `Records.find_announcement`."""
        return await self._records.find_announcement(adapter_id)

    async def find_providers(self, blob_id: str) -> list[PeerId]:
        """See `Records.find_providers`."""
        return await self._records.find_providers(blob_id)

    async def catch_up(self) -> int:
        """Ask every connected peer for its catalogue; the number of new announcements."""
        new = 0
        for peer in self._links.host.get_connected_peers():
            new += await self._catalog.catch_up_with(peer)
        return new

    def _has_peers(self) -> bool:
        return bool(self._dht.get_routing_table_size())

    async def _greet_newcomers(self) -> None:
        greeted: set[ID] = set()
        async with trio.open_nursery() as nursery:
            while True:
                connected = set(self._links.host.get_connected_peers())
                for peer in connected - greeted:
                    nursery.start_soon(self._greet, peer)
                greeted = connected
                await trio.sleep(0.25)

    async def _greet(self, peer: ID) -> None:
        # Identify has to have brought the peer's addresses and protocols first.
        await trio.sleep(0.5)
        try:
            await self._dht.add_peer(peer)
        except Exception as error:  # noqa: BLE001
            _log.info("peer %s did not enter the routing table: %r", peer, error)
        if self._dht.get_routing_table_size() <= _SMALL_NETWORK:
            self._queue.hurry()
        await self._catalog.catch_up_with(peer)

    async def _stay_connected(self, bootstrap: list[str]) -> None:
        while True:
            for text in bootstrap:
                try:
                    info = parse_peer_address(text)
                    self._links.remember(info.peer_id, info.addrs)
                    await self._links.connect(info.peer_id)
                except (PeerUnreachableError, UsageError) as error:
                    _log.info("bootstrap %s: %s", text, error)
            if self._has_peers():
                await self._dht.ask_around()
            await trio.sleep(60.0 if self._links.host.get_connected_peers() or not bootstrap else 5.0)
