"""An inbound connection has one of our `Places`, and gives it back when it ends.

The library keeps an inbound place, and a task, until the host stops, so that a node hears nobody after 124 connections
in its life. Kept true by tests/unit/p2p/mends/test_inbound.py and tests/integration/test_p2p_hostile.py.
"""

import logging
from collections.abc import Callable
from typing import Any, Final

import trio
from libp2p.abc import IHost
from libp2p.network.connection.raw_connection import RawConnection
from multiaddr import Multiaddr

from viz_node.p2p.admission import Places, source_of

_log = logging.getLogger(__name__)
_IDLE_SECONDS: Final = 10.0


def _idleness(connection: Any) -> Callable[[], bool]:
    since = trio.current_time()
    return lambda: trio.current_time() > since + _IDLE_SECONDS and not connection.has_streams_of_peer


def install(host: IHost) -> Places:
    """Let the host's inbound connections have these places instead of the library's."""
    network: Any = host.get_network()
    places = Places()

    async def on_connection(stream: Any, address: Multiaddr) -> None:
        """Serve one connection until it ends; the listener closes its socket after that."""
        remote = stream.get_remote_address()
        # Closing the socket, unlike a cancellation, lets the library's handshake clean up.
        place = places.take(source_of(remote[0]) if remote else "", stream.stream.socket.close)
        if place is None:
            _log.debug("no place for a connection from %s", remote)
            return
        try:
            connection = await network.upgrade_inbound_raw_conn(RawConnection(stream, False), address)
            places.name(place, connection.peer_id, _idleness(connection))
            await connection.event_closed.wait()
        finally:
            places.give_back(place)

    network._handle_inbound_connection = on_connection
    return places
