"""No cancellation comes between a stream's start and the library's clean-up of it.

The library never forgets a stream that was cancelled while it started; after 256 of them a connection opens no more. To
start one is to send a frame: only a peer that reads nothing can make it last. Kept true by
tests/unit/p2p/mends/test_openings.py.
"""

from typing import Any, Final

import trio
from libp2p.abc import IHost, INetStream
from libp2p.peer.id import ID

_START_SECONDS: Final = 5.0


def install(host: IHost) -> None:
    """Start this host's streams under a shield."""
    network: Any = host.get_network()
    inner = network.new_stream

    async def shielded(peer_id: ID) -> INetStream:
        with trio.CancelScope(shield=True), trio.fail_after(_START_SECONDS):
            stream: INetStream = await inner(peer_id)
            return stream

    network.new_stream = shielded
