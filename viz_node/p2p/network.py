"""The peer network as the asyncio side of the node sees it."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

from viz_node.domain.ids import PeerId
from viz_node.domain.peer_address import Neighbour
from viz_node.p2p.announcements import CheckAnnouncement
from viz_node.p2p.blobs import SharedBlob, chunk_list_of
from viz_node.p2p.core import CoreSettings, Whereabouts
from viz_node.p2p.host import peer_id_of_seed
from viz_node.p2p.peer_requests import PeerRequests, PeerTunnels
from viz_node.p2p.runner import CoreRunner

_log = logging.getLogger(__name__)


class PeerNetwork(PeerRequests):
    """Peers, announcements, requests and transfer; `runner` starts and stops it all, `tunnels` shares its core.

    What was served, shared, announced and provided is kept over a restart. `check_announcement` and
    `known_announcements` are called in the network's threads; every other callback runs in the asyncio loop.
    """

    def __init__(
        self,
        seed: bytes,
        whereabouts: Whereabouts,
        check_announcement: CheckAnnouncement,
        known_announcements: Callable[[], list[bytes]],
    ) -> None:
        settings = CoreSettings(seed, whereabouts, check_announcement, known_announcements, self._deliver)
        super().__init__(CoreRunner(settings))
        self.peer_id: PeerId = peer_id_of_seed(seed)
        self.tunnels = PeerTunnels(self.runner)
        self._callbacks: list[Callable[[bytes], object]] = []

    @property
    def addresses(self) -> list[str]:
        """See `CoreRunner.addresses`."""
        return self.runner.addresses

    @property
    def announced(self) -> list[str]:
        """See `CoreRunner.announced`."""
        return self.runner.announced

    async def connect(self, address: str) -> PeerId:
        """Connect to `/ip4/…/tcp/…/p2p/<peer id>`. Raises: UsageError, PeerUnreachableError."""
        thread, core = self.runner.running()
        return await thread.call(core.connect, address)

    async def peers(self) -> list[Neighbour]:
        """Rows of peer_id, addresses and connected; empty while the core is down."""
        if not self.runner.is_running:
            return []
        thread, core = self.runner.running()
        return await thread.call(core.peers)

    def on_announcement(self, callback: Callable[[bytes], object]) -> None:
        """Call it in the asyncio loop with each valid announcement that is newer than what was seen before."""
        self._callbacks.append(callback)

    def _deliver(self, raw: bytes) -> None:
        self.runner.post(self._call_back, raw)

    def _call_back(self, raw: bytes) -> None:
        for callback in self._callbacks:
            try:
                callback(raw)
            except Exception:  # noqa: BLE001
                # One listener's failure must not keep the others from hearing.
                _log.exception("a listener for announcements failed")

    async def announce(self, adapter_id: str, announcement: bytes) -> None:
        """Push it now, publish it in the DHT from a paced queue, repeat it. Raises: VerificationError."""
        thread, core = self.runner.running()
        await thread.call(core.discovery.announce, adapter_id, announcement)

    async def find_announcement(self, adapter_id: str) -> bytes | None:
        """The newest valid announcement in the DHT."""
        thread, core = self.runner.running()
        return await thread.call(core.discovery.find_announcement, adapter_id)

    async def catch_up(self) -> int:
        """Ask the connected peers for what they know; the number of announcements that were new."""
        thread, core = self.runner.running()
        return await thread.call(core.discovery.catch_up)

    async def provide(self, blob_id: str) -> None:
        """Tell the DHT, from the paced queue, that this node serves the blob."""
        thread, core = self.runner.running()
        await thread.call(core.discovery.provide, blob_id)

    async def find_providers(self, blob_id: str) -> list[PeerId]:
        """Other peers that claim to serve the blob (or the adapter of that id)."""
        thread, core = self.runner.running()
        return await thread.call(core.discovery.find_providers, blob_id)

    async def share(self, path: Path) -> str:
        """Hash a file and serve it; its blob id. Raises: NotFoundError, StorageError."""
        chunks = await asyncio.to_thread(chunk_list_of, path)
        blob_id = chunks.blob_id()
        self.runner.offerings.blobs[blob_id] = SharedBlob(path, chunks.to_bytes())
        return blob_id

    def unshare(self, blob_id: str) -> None:
        """Serve and provide it no longer; unknown ids are fine."""
        self.runner.offerings.blobs.pop(blob_id, None)
        self.runner.offerings.provided.pop(blob_id, None)

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
        thread, core = self.runner.running()

        def report(done: int, total: int) -> None:
            if progress is not None:
                thread.post(progress, done, total)

        return await thread.call(core.fetch, blob_id, size_bytes, list(peers), destination, report)
