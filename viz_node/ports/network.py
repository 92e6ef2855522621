"""Other nodes: asking them, finding them, and moving bytes."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from viz_node.domain.ids import PeerId


class Requests(Protocol):
    """One question to a peer, and its answer."""

    async def request(
        self,
        peer_id: PeerId,
        method: str,
        payload: bytes,
        timeout_seconds: float = 20,
        addresses: tuple[str, ...] = (),
    ) -> bytes: ...


class Providers(Protocol):
    """The peers that have a blob, and being one of them."""

    async def find_providers(self, blob_id: str) -> list[PeerId]: ...
    async def provide(self, blob_id: str) -> None: ...


class Listening(Requests, Protocol):
    """Announcements of adapters, as they are heard."""

    async def find_providers(self, blob_id: str) -> list[PeerId]: ...
    async def find_announcement(self, adapter_id: str) -> bytes | None: ...


class Publishing(Protocol):
    """Announcing own adapters, and serving their files."""

    @property
    def announced(self) -> list[str]: ...
    async def announce(self, adapter_id: str, announcement: bytes) -> None: ...
    async def share(self, path: Path) -> str: ...
    def unshare(self, blob_id: str) -> None: ...
    async def provide(self, blob_id: str) -> None: ...


class Transfer(Requests, Providers, Protocol):
    """Files from peers and for peers."""

    async def share(self, path: Path) -> str: ...
    async def fetch(
        self,
        blob_id: str,
        size_bytes: int,
        peers: list[PeerId],
        destination: Path,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[PeerId]: ...


class Invitations(Requests, Protocol):
    """Asking peers, and where this node can be asked."""

    @property
    def announced(self) -> list[str]: ...


class Tunnels(Requests, Protocol):
    """Streams between a local port and a peer's, by name."""

    def serve_tunnel(self, name: str, port: int, may_connect: Callable[[PeerId], bool]) -> None: ...
    async def open_tunnel(self, peer_id: PeerId, name: str) -> int: ...
    async def close_tunnel(self, name: str) -> None: ...
