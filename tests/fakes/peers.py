"""Nodes that reach each other in memory; what a peer's handler raises travels as over the wire."""

from collections.abc import Awaitable, Callable
from pathlib import Path

from viz_node.domain.ids import PeerId
from viz_node.errors import NotFoundError, PeerUnreachableError, RefusedError, VerificationError
from viz_node.p2p.blobs import blob_id_of

Handler = Callable[[PeerId, bytes], Awaitable[bytes]]


class MemoryHub:
    """The network between the nodes."""

    def __init__(self) -> None:
        self.nodes: dict[PeerId, MemoryNetwork] = {}
        self.announcements: dict[str, bytes] = {}


class MemoryNetwork:
    """One node's `PeerNetwork`; away while `is_up` is off."""

    def __init__(self, hub: MemoryHub, peer_id: PeerId) -> None:
        self._hub = hub
        self.peer_id = peer_id
        self.is_up = True
        self.handlers: dict[str, Handler] = {}
        self.blobs: dict[str, Path] = {}
        self.provided: set[str] = set()
        self.doors: dict[str, tuple[int, Callable[[PeerId], bool]]] = {}
        hub.nodes[peer_id] = self

    @property
    def addresses(self) -> list[str]:
        return [f"/memory/p2p/{self.peer_id}"]

    @property
    def announced(self) -> list[str]:
        return self.addresses

    def serve(self, method: str, handler: Handler) -> None:
        self.handlers[method] = handler

    async def announce(self, adapter_id: str, announcement: bytes) -> None:
        self._hub.announcements[adapter_id] = announcement
        self.provided.add(adapter_id)

    async def find_announcement(self, adapter_id: str) -> bytes | None:
        return self._hub.announcements.get(adapter_id)

    async def find_providers(self, blob_id: str) -> list[PeerId]:
        return [peer for peer, node in self._hub.nodes.items() if blob_id in node.provided and node is not self]

    async def provide(self, blob_id: str) -> None:
        self.provided.add(blob_id)

    async def request(
        self,
        peer_id: PeerId,
        method: str,
        payload: bytes,
        timeout_seconds: float = 20,
        addresses: tuple[str, ...] = (),
    ) -> bytes:
        handler = self._peer(peer_id).handlers.get(method)
        if handler is None:
            raise NotFoundError(f"this node does not serve {method!r}")
        return await handler(self.peer_id, payload)

    async def share(self, path: Path) -> str:
        blob_id = blob_id_of(path)
        self.blobs[blob_id] = path
        return blob_id

    def unshare(self, blob_id: str) -> None:
        self.blobs.pop(blob_id, None)

    async def fetch(
        self,
        blob_id: str,
        size_bytes: int,
        peers: list[PeerId],
        destination: Path,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[PeerId]:
        banned: list[PeerId] = []
        for peer in peers:
            node = self._hub.nodes.get(peer)
            if node is None or not node.is_up or blob_id not in node.blobs:
                continue
            if blob_id_of(node.blobs[blob_id]) != blob_id:
                banned.append(peer)
                continue
            destination.write_bytes(node.blobs[blob_id].read_bytes())
            if progress is not None:
                progress(size_bytes, size_bytes)
            return banned
        raise VerificationError("wrong chunks") if banned else PeerUnreachableError("no peer serves the blob")

    @property
    def tunnels(self) -> "MemoryNetwork":
        return self

    def serve_tunnel(self, name: str, port: int, may_connect: Callable[[PeerId], bool]) -> None:
        self.doors[name] = port, may_connect

    async def open_tunnel(self, peer_id: PeerId, name: str) -> int:
        port, may_connect = self._peer(peer_id).doors.get(name, (0, lambda _: False))
        if not may_connect(self.peer_id):
            raise RefusedError("the peer does not let this node in")
        return port

    async def close_tunnel(self, name: str) -> None:
        self.doors.pop(name, None)

    def _peer(self, peer_id: PeerId) -> "MemoryNetwork":
        node = self._hub.nodes.get(peer_id)
        if node is None or not node.is_up:
            raise PeerUnreachableError(f"peer {peer_id} cannot be reached")
        return node
