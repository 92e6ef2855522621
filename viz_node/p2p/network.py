"""The peer network as the asyncio side of the node sees it."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

from viz_node.domain.ids import PeerId
from viz_node.domain.peer_address import parse_all_announced, parse_listen
from viz_node.errors import PeerUnreachableError
from viz_node.p2p.announcements import CheckAnnouncement
from viz_node.p2p.blobs import SharedBlob, chunk_list_of
from viz_node.p2p.bridge import TrioThread
from viz_node.p2p.core import Core, CoreSettings
from viz_node.p2p.host import parse_peer_address, peer_id_of_seed
from viz_node.p2p.offerings import Offerings, TunnelDoor

_log = logging.getLogger(__name__)


class PeerNetwork:
    """Host, announcements, requests, transfer and tunnels; `failed` is set when the core died and may start again.

    What was served, shared, announced and provided is kept over a restart; open tunnels are not. `check_announcement`
    and `known_announcements` are called in the network's threads; every other callback runs in the asyncio loop.
    """

    def __init__(
        self,
        seed: bytes,
        listen: str,
        bootstrap: list[str],
        check_announcement: CheckAnnouncement,
        known_announcements: Callable[[], list[bytes]],
        *,
        announce: Sequence[str] = (),
        is_public: bool = False,
    ) -> None:
        """`announce`: where peers are told to reach this node, instead of what its interfaces and `listen` give.

        Raises: UsageError (an address cannot be listened on or announced, or is not a peer's).
        """
        parse_listen(listen)
        parse_all_announced(announce, is_public)
        for text in bootstrap:
            parse_peer_address(text)
        self.peer_id: PeerId = peer_id_of_seed(seed)
        self.failed = asyncio.Event()
        self._offerings = Offerings()
        self._settings = CoreSettings(
            seed,
            listen,
            list(bootstrap),
            check_announcement,
            known_announcements,
            self._deliver,
            tuple(announce),
            is_public,
        )
        self._callbacks: list[Callable[[bytes], object]] = []
        self._thread: TrioThread | None = None
        self._core: Core | None = None

    async def start(self) -> None:
        """Listen and join. Raises: LockedError (the port is taken), UsageError (malformed address)."""
        if self._thread is not None:
            await self.stop()
        self.failed.clear()
        core = Core(self._settings, self._offerings)
        self._thread = thread = TrioThread(self._on_end)
        try:
            await thread.start(core.run)
        except BaseException:
            self._thread = None
            await thread.stop()
            raise
        self._core = core

    async def stop(self) -> None:
        """Leave the network, within two seconds; stopping twice is fine."""
        thread, self._thread, self._core = self._thread, None, None
        if thread is not None:
            await thread.stop()

    def _on_end(self, error: BaseException | None) -> None:
        if self._thread is not None:
            _log.error("the network core died: %r", error)
            self._core = None
            self.failed.set()

    def _running(self) -> tuple[TrioThread, Core]:
        if self._thread is None or self._core is None:
            raise PeerUnreachableError("the network core is not running", "wait until it has started again")
        return self._thread, self._core

    @property
    def addresses(self) -> list[str]:
        """Full multiaddrs with the peer id, for peers on this machine at least; empty while the core is down."""
        return self._core.addresses if self._core else []

    @property
    def local_addresses(self) -> list[str]:
        """Full multiaddrs with the peer id for peers on this machine; empty while the core is down."""
        return self._core.local_addresses if self._core else []

    @property
    def announced(self) -> list[str]:
        """Those of them that other peers are told; empty also when no other machine can reach this node."""
        return self._core.announced if self._core else []

    @property
    def trouble(self) -> str:
        """Why this node cannot take peers now; empty when it can."""
        if self._core is None or not self._core.addresses:
            return "it is down, and is started again"
        places = self._core.places
        if not places.is_open:
            return f"no room for new peers: {places.taken} addresses hold one connection each"
        return ""

    async def connect(self, address: str) -> PeerId:
        """Connect to `/ip4/…/tcp/…/p2p/<peer id>`. Raises: UsageError, PeerUnreachableError."""
        thread, core = self._running()
        return await thread.call(core.connect, address)

    async def peers(self) -> list[dict[str, object]]:
        """Rows of peer_id, addresses and connected; empty while the core is down."""
        if self._thread is None or self._core is None:
            return []
        return await self._thread.call(self._core.peers)

    # Announcements.

    def on_announcement(self, callback: Callable[[bytes], object]) -> None:
        """Call it in the asyncio loop with each valid announcement that is newer than what was seen before."""
        self._callbacks.append(callback)

    def _deliver(self, raw: bytes) -> None:
        if self._thread is not None:
            self._thread.post(self._call_back, raw)

    def _call_back(self, raw: bytes) -> None:
        for callback in self._callbacks:
            try:
                callback(raw)
            except Exception:  # noqa: BLE001
                # One listener's failure must not keep the others from hearing.
                _log.exception("a listener for announcements failed")

    async def announce(self, adapter_id: str, announcement: bytes) -> None:
        """Push it now, publish it in the DHT from a paced queue, repeat it. Raises: VerificationError."""
        thread, core = self._running()
        await thread.call(core.announce, adapter_id, announcement)

    async def find_announcement(self, adapter_id: str) -> bytes | None:
        """The newest valid announcement in the DHT."""
        thread, core = self._running()
        return await thread.call(core.find_announcement, adapter_id)

    async def catch_up(self) -> int:
        """Ask the connected peers for what they know; the number of announcements that were new."""
        thread, core = self._running()
        return await thread.call(core.catch_up)

    async def provide(self, blob_id: str) -> None:
        """Tell the DHT, from the paced queue, that this node serves the blob."""
        thread, core = self._running()
        await thread.call(core.provide, blob_id)

    async def find_providers(self, blob_id: str) -> list[PeerId]:
        """Other peers that claim to serve the blob (or the adapter of that id)."""
        thread, core = self._running()
        return await thread.call(core.find_providers, blob_id)

    # Requests.

    def serve(self, method: str, handler: Callable[[PeerId, bytes], Awaitable[bytes]]) -> None:
        """Answer requests of that name; the handler runs in the asyncio loop, its VizNodeErrors travel back."""

        async def in_asyncio(peer_id: PeerId, payload: bytes) -> bytes:
            return await handler(peer_id, payload)

        async def in_trio(peer_id: PeerId, payload: bytes) -> bytes:
            thread, _ = self._running()
            return await thread.call_asyncio(in_asyncio, peer_id, payload)

        self._offerings.handlers[method] = in_trio

    async def request(
        self,
        peer_id: PeerId,
        method: str,
        payload: bytes,
        timeout_seconds: float = 20,
        addresses: tuple[str, ...] = (),
    ) -> bytes:
        """Ask a peer; at most 1 MiB each way.

        Raises: the peer's own error when its class may travel (see `wire`), DeadlineError, PeerUnreachableError,
        UsageError, VerificationError (the reply is malformed).
        """
        thread, core = self._running()
        return await thread.call(core.request, peer_id, method, payload, timeout_seconds, tuple(addresses))

    # Blobs.

    async def share(self, path: Path) -> str:
        """Hash a file and serve it; its blob id. Raises: NotFoundError, StorageError."""
        chunks = await asyncio.to_thread(chunk_list_of, path)
        blob_id = chunks.blob_id()
        self._offerings.blobs[blob_id] = SharedBlob(path, chunks.size_bytes, chunks.to_bytes())
        return blob_id

    def unshare(self, blob_id: str) -> None:
        """Serve and provide it no longer; unknown ids are fine."""
        self._offerings.blobs.pop(blob_id, None)
        self._offerings.provided.pop(blob_id, None)

    async def fetch(
        self,
        blob_id: str,
        size_bytes: int,
        peers: list[PeerId],
        destination: Path,
        progress: Callable[[int, int], None] | None = None,
    ) -> list[PeerId]:
        """Fetch a blob from these peers into a file, verified; returns the peers banned for wrong chunks.

        `progress` gets (verified bytes, all bytes) in the asyncio loop. A later call resumes what an earlier one left.
        Raises: VerificationError, PeerUnreachableError, StorageError.
        """
        thread, core = self._running()

        def report(done: int, total: int) -> None:
            if progress is not None:
                thread.post(progress, done, total)

        return await thread.call(core.fetch, blob_id, size_bytes, list(peers), destination, report)

    # Tunnels.

    def serve_tunnel(self, name: str, port: int, may_connect: Callable[[PeerId], bool]) -> None:
        """Let those peers reach 127.0.0.1:port of this machine under that name."""

        async def ask(peer_id: PeerId) -> bool:
            return may_connect(peer_id)

        async def in_trio(peer_id: PeerId) -> bool:
            thread, _ = self._running()
            return await thread.call_asyncio(ask, peer_id)

        self._offerings.doors[name] = TunnelDoor(port, in_trio)

    async def open_tunnel(self, peer_id: PeerId, name: str) -> int:
        """A port of 127.0.0.1 whose connections come out at the peer's door of that name.

        Raises: PeerUnreachableError, RefusedError (the peer does not let this node in).
        """
        thread, core = self._running()
        return await thread.call(core.open_tunnel, peer_id, name)

    async def close_tunnel(self, name: str) -> None:
        """Close this node's end, whether it was opened or served here; unknown names are fine."""
        self._offerings.doors.pop(name, None)
        if self._thread is not None and self._core is not None:
            await self._thread.call(self._core.close_tunnel, name)
