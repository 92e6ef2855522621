"""TCP through the peer network: a local port at one node whose connections come out at a named port of another.

The opening frame is the door's name, the answer one byte; after that the stream is the connection's bytes. Only
loopback addresses stand at both ends, and the serving node decides by peer id which peers may enter.
"""

import logging
from collections.abc import Awaitable, Callable
from typing import Final

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID

from viz_node.domain.ids import PeerId
from viz_node.errors import PeerUnreachableError, RefusedError, UsageError, VizNodeError
from viz_node.p2p.links import Links
from viz_node.p2p.offerings import TunnelDoor
from viz_node.p2p.shares import Shares
from viz_node.p2p.streams import (
    STREAM_FAILURES,
    WRITE_BYTES,
    abandon,
    finish,
    grant_window,
    peer_of,
    read_exact,
    read_frame,
    write_frame,
)
from viz_node.p2p.wire import MAX_NAME_BYTES

_log = logging.getLogger(__name__)
PROTOCOL: Final = TProtocol("/viz/tunnel/1.0.0")
_OPEN, _CLOSED = b"\x01", b"\x00"
_WINDOW_BYTES: Final = 4 << 20
_MAX_CONNECTIONS: Final = 128
_MAX_KNOCKS: Final = 64
_MAX_KNOCKS_PER_PEER: Final = 8


class Tunnels:
    """Both ends of all tunnels of one core."""

    def __init__(self, links: Links, doors: dict[str, TunnelDoor], nursery: trio.Nursery) -> None:
        self._links = links
        self._doors = doors
        self._nursery = nursery
        self._open: dict[str, trio.CancelScope] = {}
        self._slots = trio.CapacityLimiter(_MAX_CONNECTIONS)
        self._knocks = Shares(_MAX_KNOCKS, _MAX_KNOCKS_PER_PEER)
        links.host.set_stream_handler(PROTOCOL, self._on_stream)

    async def open(self, peer: ID, name: str) -> int:
        """Listen on a free port of 127.0.0.1 for connections to that door of the peer.

        Raises: PeerUnreachableError, RefusedError (the peer does not let this node in), UsageError.
        """
        if not 0 < len(name.encode()) <= MAX_NAME_BYTES:
            raise UsageError(f"{name!r} is not a tunnel's name")
        if name in self._open:
            raise UsageError(f"the tunnel {name!r} is open already", "close it first")
        await abandon(await self._enter(peer, name))
        listeners = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port: int = listeners[0].socket.getsockname()[1]
        scope = self._open[name] = trio.CancelScope()

        async def carry(connection: trio.SocketStream) -> None:
            await self._carry(connection, peer, name)

        async def listen() -> None:
            try:
                with scope:
                    await trio.serve_listeners(carry, listeners)
            finally:
                self._open.pop(name, None)

        self._nursery.start_soon(listen)
        return port

    async def close(self, name: str) -> None:
        """End the tunnel and its connections; unknown names are fine."""
        if scope := self._open.pop(name, None):
            scope.cancel()

    async def _enter(self, peer: ID, name: str) -> INetStream:
        stream = await self._links.open_stream(peer, PROTOCOL)
        try:
            await grant_window(stream, _WINDOW_BYTES)
            await write_frame(stream, name.encode())
            answer = await read_exact(stream, 1)
        except STREAM_FAILURES as error:
            await abandon(stream)
            raise PeerUnreachableError(f"peer {peer} broke off: {error!r}", "try again") from error
        if answer != _OPEN:
            await abandon(stream)
            raise RefusedError(f"peer {peer} does not let this node into {name!r}")
        return stream

    async def _carry(self, connection: trio.SocketStream, peer: ID, name: str) -> None:
        try:
            async with self._slots:
                await _join(connection, await self._enter(peer, name))
        except VizNodeError as error:
            _log.info("the tunnel %r to %s: %s", name, peer, error)
        finally:
            await trio.aclose_forcefully(connection)

    async def _on_stream(self, stream: INetStream) -> None:
        peer = peer_of(stream)
        try:
            door = await self._door_for(peer, stream)
            if door is None:
                await stream.write(_CLOSED)
                await finish(stream)
                return
            async with self._slots, await trio.open_tcp_stream("127.0.0.1", door.port) as connection:
                await grant_window(stream, _WINDOW_BYTES)
                await stream.write(_OPEN)
                await _join(connection, stream)
        except (*STREAM_FAILURES, VizNodeError) as error:
            _log.debug("a tunnel of %s ended: %r", peer, error)
            await abandon(stream)

    async def _door_for(self, peer: PeerId, stream: INetStream) -> TunnelDoor | None:
        """The door that the peer asks for and may enter."""
        with self._knocks.place(peer) as is_free:
            if not is_free:
                return None
            name = (await read_frame(stream, max_bytes=MAX_NAME_BYTES)).decode(errors="replace")
            door = self._doors.get(name)
            return door if door is not None and await door.may_connect(peer) else None


async def _join(connection: trio.SocketStream, stream: INetStream) -> None:
    """Copy both ways until both sides have ended; an error on one side ends both."""

    async def outwards() -> None:
        while data := await connection.receive_some(WRITE_BYTES):
            await stream.write(data)
        await stream.close_write()

    async def inwards() -> None:
        try:
            while data := await stream.read(1 << 20):
                await connection.send_all(data)
        except EOFError:
            pass
        await connection.send_eof()

    async with trio.open_nursery() as nursery:
        broken = nursery.cancel_scope

        async def guarded(copy: Callable[[], Awaitable[None]]) -> None:
            try:
                await copy()
            except STREAM_FAILURES as error:
                _log.debug("a tunnel's connection broke: %r", error)
                broken.cancel()

        nursery.start_soon(guarded, outwards)
        nursery.start_soon(guarded, inwards)
    await abandon(stream)
