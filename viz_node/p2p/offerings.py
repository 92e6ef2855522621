"""What this node offers to its peers, kept outside the network core so that it survives a restart of the core."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from viz_node.domain.ids import PeerId
from viz_node.p2p.blobs import SharedBlob

RequestHandler = Callable[[PeerId, bytes], Awaitable[bytes]]


@dataclass(frozen=True)
class TunnelDoor:
    """A local TCP port that chosen peers may reach by its name."""

    port: int
    may_connect: Callable[[PeerId], Awaitable[bool]]


@dataclass
class Offerings:
    """All dictionaries are replaced entry by entry only, which both threads may do."""

    handlers: dict[str, RequestHandler] = field(default_factory=dict)
    blobs: dict[str, SharedBlob] = field(default_factory=dict)
    doors: dict[str, TunnelDoor] = field(default_factory=dict)
    announcements: dict[str, bytes] = field(default_factory=dict)
    provided: dict[str, bool] = field(default_factory=dict)
