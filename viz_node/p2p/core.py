"""The network core: one host with everything that runs on it, from start to cancellation, inside trio."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio
from libp2p.peer.id import ID
from multiaddr import Multiaddr

from viz_node.domain.ids import PeerId
from viz_node.domain.peer_address import parse_all_announced, parse_listen
from viz_node.errors import LockedError
from viz_node.p2p.announcements import CheckAnnouncement
from viz_node.p2p.discovery import Discovery
from viz_node.p2p.host import make_host, parse_peer_address, parse_peer_id, peer_id_of_seed
from viz_node.p2p.links import Links
from viz_node.p2p.mends import inbound
from viz_node.p2p.mends.dht import BoundedDht
from viz_node.p2p.offerings import Offerings
from viz_node.p2p.reach import Reach
from viz_node.p2p.requests import RequestProtocol
from viz_node.p2p.transfer import BlobServer, Fetch, Progress
from viz_node.p2p.tunnel import Tunnels


@dataclass(frozen=True)
class CoreSettings:
    """What a core needs from outside; the callables are called in the network's thread."""

    seed: bytes
    listen: str
    bootstrap: list[str]
    check_announcement: CheckAnnouncement
    known_announcements: Callable[[], list[bytes]]
    deliver: Callable[[bytes], None]
    announce: tuple[str, ...] = ()
    is_public: bool = False
    """Whether others than this machine are to reach it: then it announces nothing that only this machine can use."""


class Core:
    """Lives for one run; a new start makes a new core over the same offerings."""

    def __init__(self, settings: CoreSettings, offerings: Offerings) -> None:
        self._settings = settings
        self._offerings = offerings
        self._peer_id = peer_id_of_seed(settings.seed)
        announced = parse_all_announced(settings.announce, settings.is_public)
        self._reach = Reach(announced, settings.is_public)

    @property
    def announced(self) -> list[str]:
        """What peers are told: full multiaddrs, at most eight; empty when no other machine can reach this node."""
        return [f"{address}/p2p/{self._peer_id}" for address in self._reach.addresses()]

    @property
    def addresses(self) -> list[str]:
        """What peers are told, or else where peers on its own machine reach this node."""
        return self.announced or self.local_addresses

    @property
    def local_addresses(self) -> list[str]:
        """Where peers on its own machine reach this node."""
        return [f"{address}/p2p/{self._peer_id}" for address in self._reach.local_addresses()]

    async def run(self, task_status: Any) -> None:
        """Serve until cancelled. Raises: LockedError (the port is taken), UsageError."""
        settings = self._settings
        listen = Multiaddr(str(parse_listen(settings.listen)))
        host = make_host(settings.seed, settings.listen, self._reach)
        self.places = inbound.install(host)
        async with host.run(listen_addrs=[listen]), trio.open_nursery() as nursery:
            if not self._reach.listening():
                raise LockedError(f"{settings.listen} cannot be listened on", "choose another port")
            dht = BoundedDht(host)
            self.links = Links(host, dht.ask_for_peer)
            self.requests = RequestProtocol(self.links, self._offerings.handlers)
            self.blobs = BlobServer(self.links, self._offerings.blobs)
            self.tunnels = Tunnels(self.links, self._offerings.doors, nursery)
            self.discovery = Discovery(
                self.links,
                dht,
                self._offerings,
                settings.check_announcement,
                settings.known_announcements,
                settings.deliver,
            )
            await nursery.start(self.discovery.run, settings.bootstrap)
            task_status.started()

    async def connect(self, address: str) -> PeerId:
        """Connect to a multiaddr. Raises: UsageError, PeerUnreachableError."""
        info = parse_peer_address(address)
        self.links.remember(info.peer_id, info.addrs)
        await self.links.connect(info.peer_id)
        return PeerId(str(info.peer_id))

    async def request(
        self, peer_id: str, method: str, payload: bytes, timeout_seconds: float, addresses: tuple[str, ...]
    ) -> bytes:
        """See `RequestProtocol.request`."""
        peer = parse_peer_id(peer_id)
        self.links.remember_texts(peer, addresses)
        return await self.requests.request(peer, method, payload, timeout_seconds)

    async def announce(self, adapter_id: str, announcement: bytes) -> None:
        """See `Discovery.announce`."""
        await self.discovery.announce(adapter_id, announcement)

    async def provide(self, blob_id: str) -> None:
        """See `Discovery.provide`."""
        await self.discovery.provide(blob_id)

    async def find_announcement(self, adapter_id: str) -> bytes | None:
        """See `Discovery.find_announcement`."""
        return await self.discovery.find_announcement(adapter_id)

    async def find_providers(self, blob_id: str) -> list[PeerId]:
        """See `Discovery.find_providers`."""
        return [PeerId(str(peer)) for peer in await self.discovery.find_providers(blob_id)]

    async def catch_up(self) -> int:
        """See `Discovery.catch_up`."""
        return await self.discovery.catch_up()

    async def fetch(
        self, blob_id: str, size_bytes: int, peers: list[str], destination: Path, progress: Progress | None
    ) -> list[PeerId]:
        """See `Fetch.run`; returns the peers that were banned."""
        fetch = Fetch(self.links, blob_id, destination, progress)
        await fetch.run([parse_peer_id(peer) for peer in peers], size_bytes)
        return [PeerId(str(peer)) for peer in fetch.banned]

    async def open_tunnel(self, peer_id: str, name: str) -> int:
        """See `Tunnels.open`."""
        return await self.tunnels.open(parse_peer_id(peer_id), name)

    async def close_tunnel(self, name: str) -> None:
        """See `Tunnels.close`."""
        self.tunnels.close(name)

    async def peers(self) -> list[dict[str, object]]:
        """Everybody else that is known: peer id, addresses, and whether there is a connection now."""
        own, connected = self.links.host.get_id(), set(self.links.host.get_connected_peers())
        return [self._peer_row(peer, peer in connected) for peer in self.links.known_peers() if peer != own]

    def _peer_row(self, peer: ID, is_connected: bool) -> dict[str, object]:
        addresses = [f"{address}/p2p/{peer}" for address in self.links.addresses_of(peer)]
        return {"peer_id": str(peer), "addresses": addresses, "connected": is_connected}
