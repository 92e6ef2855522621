"""A stream ends with its handler, however that ends, and its unread bytes are dropped.

In the library an exception in any stream handler ends the whole host, a handler that returns leaves its stream open,
and what lies unread on a stream that was closed stays in memory. Kept true by tests/unit/p2p/mends/test_handlers.py.
"""

import logging
from typing import Any

from libp2p.abc import IHost, INetConn, INetStream, INetwork, INotifee
from multiaddr import Multiaddr

from viz_node.p2p.streams import abandon

_log = logging.getLogger(__name__)


class EndOfStreams(INotifee):
    """Tells a stream whose handler has ended, or that was closed or reset, that nobody reads it any more."""

    async def closed_stream(self, network: INetwork, stream: INetStream) -> None:
        """Drop what was not read."""
        stream.muxed_stream.end_reading()

    async def opened_stream(self, network: INetwork, stream: INetStream) -> None:
        """Nothing to do."""

    async def connected(self, network: INetwork, conn: INetConn) -> None:
        """Nothing to do."""

    async def disconnected(self, network: INetwork, conn: INetConn) -> None:
        """Nothing to do."""

    async def listen(self, network: INetwork, multiaddr: Multiaddr) -> None:
        """Nothing to do."""

    async def listen_close(self, network: INetwork, multiaddr: Multiaddr) -> None:
        """Nothing to do."""


def install(host: IHost) -> None:
    """Keep an exception in any stream handler from ending the host; a stream ends with its handler."""
    network: Any = host.get_network()
    inner = network.common_stream_handler

    async def guarded(stream: INetStream) -> None:
        try:
            await inner(stream)
        except Exception as error:  # noqa: BLE001
            _log.warning("a stream handler failed: %r", error)
            await abandon(stream)
        else:
            muxed: Any = stream.muxed_stream
            if not muxed.send_closed:
                await abandon(stream)

    network.set_stream_handler(guarded)
    network.register_notifee(EndOfStreams())
