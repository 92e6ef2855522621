"""The network core: one host with everything that runs on it, from start to cancellation, inside trio."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import trio
from libp2p.peer.id import ID
from multiaddr import Multiaddr

from viz_node.domain.ids import PeerId
from viz_node.domain.peer_address import Neighbour, parse_all_announced, parse_listen
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
class Whereabouts:
    """Where a node listens, whom it joins first, and where peers are told to reach it.

    `announce` replaces the addresses from the interfaces and `listen`.

    Raises: UsageError (an address cannot be listened on or announced, or is not a peer's).
    """

    listen: str
    bootstrap: tuple[str, ...] = ()
    announce: tuple[str, ...] = ()
    is_public: bool = False
    """Whether others than this machine are to reach it: then it announces nothing that only this machine can use."""

    def __post_init__(self) -> None:
        parse_listen(self.listen)
        parse_all_announced(self.announce, self.is_public)
        for text in self.bootstrap:
            parse_peer_address(text)


@dataclass(frozen=True)
class CoreSettings:
    """What a core needs from outside; the network's thread calls the callables."""

    seed: bytes
    whereabouts: Whereabouts
    check_announcement: CheckAnnouncement
    known_announcements: Callable[[], list[bytes]]
    deliver: Callable[[bytes], None]


class Core:
    """Lives for one run; a new start makes a new core over the same offerings."""

    def __init__(self, settings: CoreSettings, offerings: Offerings) -> None:
        self._settings = settings
        self._offerings = offerings
        self._peer_id = peer_id_of_seed(settings.seed)
        whereabouts = settings.whereabouts
        self._reach = Reach(parse_all_announced(whereabouts.announce, whereabouts.is_public), whereabouts.is_public)

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
        settings, whereabouts = self._settings, self._settings.whereabouts
        listen = Multiaddr(str(parse_listen(whereabouts.listen)))
        host = make_host(settings.seed, whereabouts.listen, self._reach)
        self.places = inbound.install(host)
        async with host.run(listen_addrs=[listen]), trio.open_nursery() as nursery:
            if not self._reach.listening():
                raise LockedError(f"{whereabouts.listen} cannot be listened on", "choose another port")
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
            await nursery.start(self.discovery.run, list(whereabouts.bootstrap))
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

    async def peers(self) -> list[Neighbour]:
        """Everybody else that is known: peer id, addresses, and whether there is a connection now."""
        own, connected = self.links.host.get_id(), set(self.links.host.get_connected_peers())
        return [self._peer_row(peer, peer in connected) for peer in self.links.known_peers() if peer != own]

    def _peer_row(self, peer: ID, is_connected: bool) -> Neighbour:
        addresses = tuple(f"{address}/p2p/{peer}" for address in self.links.addresses_of(peer))
        return Neighbour(PeerId(str(peer)), addresses, is_connected)
