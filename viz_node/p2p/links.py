"""Connections to peers by id: remembers addresses, dials each of them, and opens protocol streams."""

import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Iterable
from typing import Any, Final

import trio
from libp2p.abc import IHost, INetStream
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr

from viz_node.errors import PeerUnreachableError, UsageError
from viz_node.p2p.host import parse_peer_address
from viz_node.p2p.mends.dialling import dial
from viz_node.p2p.streams import STREAM_FAILURES

_NOWHERE: Final = re.compile(r"/ip4/0\.0\.0\.0/|/ip6/::/")
_MAX_PEERS: Final = 4096
_MAX_ADDRESSES: Final = 8
_OPEN_SECONDS: Final = 10.0
_CLEAN_UP_SECONDS: Final = 2.0


class Links:
    """One per core; `find_peer` is the last resort when no remembered address works, and raises nothing."""

    def __init__(self, host: IHost, find_peer: Callable[[ID], Awaitable[PeerInfo | None]]) -> None:
        self.host = host
        self._find_peer = find_peer
        self._addresses: OrderedDict[ID, list[Multiaddr]] = OrderedDict()
        self._dialling: dict[ID, trio.Lock] = {}

    def remember(self, peer: ID, addresses: Iterable[Multiaddr]) -> None:
        """Keep up to eight addresses of a peer, the newest first; 0.0.0.0 is nobody's."""
        known = self._addresses.pop(peer, [])
        # The DHT hands addresses on with the peer's id, others without it.
        plain = [_without_id(address, peer) for address in addresses if not _NOWHERE.match(str(address))]
        self._addresses[peer] = list(dict.fromkeys([*(item for item in plain if item not in known), *known]))[
            :_MAX_ADDRESSES
        ]
        while len(self._addresses) > _MAX_PEERS:
            self._addresses.popitem(last=False)

    def remember_texts(self, peer: ID, addresses: Iterable[str]) -> None:
        """As `remember`, from multiaddrs that a stranger wrote; those that are not this peer's are left out."""
        for text in list(addresses)[:_MAX_ADDRESSES]:
            try:
                info = parse_peer_address(text)
            except UsageError:
                continue
            if info.peer_id == peer:
                self.remember(peer, info.addrs)

    def addresses_of(self, peer: ID) -> list[Multiaddr]:
        """The remembered addresses of a peer."""
        return list(self._addresses.get(peer, []))

    def known_peers(self) -> list[ID]:
        """Every peer with a remembered address or a connection."""
        return list(dict.fromkeys([*self.host.get_connected_peers(), *self._addresses]))

    async def connect(self, peer: ID) -> None:
        """Be connected. Raises: PeerUnreachableError."""
        lock = self._dialling.setdefault(peer, trio.Lock())
        try:
            async with lock:
                if not await self._is_connected(peer):
                    await self._dial(peer)
        finally:
            if not lock.statistics().tasks_waiting:
                self._dialling.pop(peer, None)

    async def _is_connected(self, peer: ID) -> bool:
        """Whether a connection is open. One that has ended is still listed while it cleans up: that is waited for."""
        network = self.host.get_network()
        with trio.move_on_after(_CLEAN_UP_SECONDS):
            while any(map(_has_ended, network.get_connections(peer))):  # noqa: ASYNC110 - nothing tells when it is done
                await trio.sleep(0.02)
        return not all(map(_has_ended, network.get_connections(peer)))

    async def _dial(self, peer: ID) -> None:
        try:
            await dial(self.host, peer, self.addresses_of(peer))
        except PeerUnreachableError:
            info = await self._look_up(peer)
            if info is None or not info.addrs:
                raise
            self.remember(peer, info.addrs)
            await dial(self.host, peer, info.addrs)

    async def _look_up(self, peer: ID) -> PeerInfo | None:
        with trio.move_on_after(_OPEN_SECONDS):
            return await self._find_peer(peer)
        return None

    async def open_stream(self, peer: ID, protocol: TProtocol) -> INetStream:
        """A stream that speaks `protocol`. Raises: PeerUnreachableError."""
        if peer == self.host.get_id():
            raise PeerUnreachableError("a node does not dial itself")
        await self.connect(peer)
        try:
            return await self._open_stream(peer, protocol)
        except PeerUnreachableError:
            if await self._is_connected(peer):
                raise
        await self.connect(peer)  # the connection had ended, and only this showed it
        return await self._open_stream(peer, protocol)

    async def _open_stream(self, peer: ID, protocol: TProtocol) -> INetStream:
        try:
            with trio.fail_after(_OPEN_SECONDS):
                return await self.host.new_stream(peer, [protocol])
        except STREAM_FAILURES as error:
            raise PeerUnreachableError(f"peer {peer} does not open {protocol}: {error}") from error


def _without_id(address: Multiaddr, peer: ID) -> Multiaddr:
    text, suffix = str(address), f"/p2p/{peer}"
    return Multiaddr(text.removesuffix(suffix)) if text.endswith(suffix) and text != suffix else address


def _has_ended(connection: Any) -> bool:
    return bool(connection.is_closed or connection.muxed_conn.has_ended)
