"""Gossip that a malformed message does not end.

In the library an undecodable message of any peer's ends the host. Kept true by tests/unit/p2p/mends/test_gossip.py.
"""

import logging
from typing import Any

from libp2p.abc import INetStream
from libp2p.peer.id import ID
from libp2p.pubsub.pubsub import Pubsub

from viz_node.p2p.streams import abandon

_log = logging.getLogger(__name__)


class SafePubsub(Pubsub):
    """Pubsub that survives malformed messages; in the library one undecodable message ends the process."""

    async def push_msg(self, msg_forwarder: ID, msg: Any) -> None:
        """Handle one message; a malformed one is dropped."""
        try:
            await super().push_msg(msg_forwarder, msg)
        except Exception as error:  # noqa: BLE001
            _log.warning("dropped a malformed gossip message from %s: %r", msg_forwarder, error)

    async def continuously_read_stream(self, stream: INetStream) -> None:
        """Read a peer's messages until its stream ends; a malformed one ends that stream only."""
        try:
            await super().continuously_read_stream(stream)
        except Exception as error:  # noqa: BLE001
            _log.warning("closed a malformed gossip stream: %r", error)
            await abandon(stream)
