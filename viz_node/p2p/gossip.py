"""Announcements pushed to all listening peers, over gossipsub.

Only valid announcements are passed on, and no author speaks more than once a second after a burst of twenty.
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any, Final

import trio
from libp2p.abc import IHost
from libp2p.peer.id import ID
from libp2p.pubsub import gossipsub
from libp2p.tools.anyio_service import background_trio_service

from viz_node.p2p.announcements import Announcements
from viz_node.p2p.mends.gossip import SafePubsub

TOPIC: Final = "viz/announce/1"
_AUTHOR_BURST: Final = 20.0
_MAX_AUTHORS: Final = 5_000


class Turns:
    """How often each author may speak."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._left: OrderedDict[bytes, tuple[float, float]] = OrderedDict()

    def take(self, author: bytes) -> bool:
        """Whether it is this author's turn; that uses it up."""
        now = self._now()
        allowance, last = self._left.pop(author, (_AUTHOR_BURST, now))
        allowance = min(_AUTHOR_BURST, allowance + (now - last))
        may = allowance >= 1
        self._left[author] = (allowance - may, now)
        while len(self._left) > _MAX_AUTHORS:
            self._left.popitem(last=False)
        return may


class Gossip:
    """This node's end of the topic; what it hears it offers to `announcements`."""

    def __init__(self, host: IHost, announcements: Announcements) -> None:
        self._announcements = announcements
        self._own_id = host.get_id().to_bytes()
        self._turns = Turns(trio.current_time)
        self._router = gossipsub.GossipSub(
            protocols=[gossipsub.PROTOCOL_ID_V12, gossipsub.PROTOCOL_ID_V11],
            degree=5,
            degree_low=4,
            degree_high=8,
            heartbeat_interval=1,
            heartbeat_initial_delay=0.3,
            max_messages_per_topic_per_second=200.0,
            adaptive_gossip_enabled=False,
        )
        self._pubsub = SafePubsub(
            host, self._router, strict_signing=True, seen_ttl=600, max_inbound_rpc_size=65536, allowed_topics={TOPIC}
        )

    async def run(self, task_status: Any = trio.TASK_STATUS_IGNORED) -> None:
        """Take part until cancelled; started once the topic is subscribed."""
        async with background_trio_service(self._pubsub), background_trio_service(self._router):
            await self._pubsub.wait_until_ready()
            self._pubsub.set_topic_validator(TOPIC, self._is_acceptable, False)
            subscription = await self._pubsub.subscribe(TOPIC)
            task_status.started()
            async for message in subscription:
                self._announcements.offer(message.data)

    async def push(self, announcement: bytes) -> None:
        """Send it to everybody. Raises: `STREAM_FAILURES`."""
        await self._pubsub.publish(TOPIC, announcement)

    def _is_acceptable(self, _forwarder: ID, message: Any) -> bool:
        author = bytes(message.from_id)
        if author != self._own_id and not self._turns.take(author):
            return False
        return self._announcements.is_valid(message.data)
