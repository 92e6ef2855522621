"""Announce what this node sells, serve its files and those it has fetched, and tell manifests."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from viz_node.domain import announcement as wire
from viz_node.domain.announcement import Announcement, SignedAnnouncement
from viz_node.domain.ids import PeerId
from viz_node.domain.manifest import (
    AdapterManifest,
)
from viz_node.domain.records import AdapterRecord
from viz_node.errors import NotFoundError
from viz_node.ports.network import Publishing
from viz_node.ports.state import WithAdapters, WithOutbox
from viz_node.services.library.look_up import adapter_named, published
from viz_node.services.market.listings import Listings
from viz_node.services.market.seal_bundle import SellerKeys

_LIFETIME_SECONDS = 24 * 3600


class StorefrontState(WithAdapters, WithOutbox, Protocol):
    """The adapters, and the transactions that published them."""


class Storefront:
    """What peers see of this node's library."""

    def __init__(
        self,
        store: StorefrontState,
        keys: SellerKeys,
        network: Publishing,
        listings: Listings,
        directory: Path,
        now: Callable[[], int],
    ) -> None:
        self._store = store
        self._keys = keys
        self._network = network
        self._listings = listings
        self._directory = directory
        self._now = now

    async def announce(self, record: AdapterRecord) -> None:
        """Tell the network about a published adapter, with a new sequence number."""
        manifest = self._listings.manifest_of(record)
        item = Announcement(
            adapter_id=manifest.adapter_id(),
            peer_id=self._keys.names.peer_id,
            addresses=tuple(self._network.announced),
            name=manifest.name,
            base_model=manifest.base_model.name,
            sequence=self._now(),
            expires=self._now() + _LIFETIME_SECONDS,
        )
        signature = self._keys.sealing.sign(wire.SIGNING_CONTEXT + item.payload())
        raw = SignedAnnouncement(item, signature).to_bytes()
        self._listings.announcements.take_in(raw)
        await self._network.announce(item.adapter_id, raw)

    async def share(self, record: AdapterRecord) -> None:
        """Serve the sealed files of a published or fetched adapter."""
        for entry in self._listings.manifest_of(record).files:
            path = self._directory / record.name / f"{entry.name}.sealed"
            with suppress(NotFoundError):
                await self._network.share(path)
                await self._network.provide(entry.blob_id)

    def unshare(self, record: AdapterRecord) -> None:
        """Serve the sealed files of an adapter no longer."""
        if record.manifest is not None:
            for entry in self._listings.manifest_of(record).files:
                self._network.unshare(entry.blob_id)

    async def serve_library(self) -> None:
        """Serve and announce again what this node sells, and serve what it has fetched: the network forgets."""
        for record in self._store.adapters.list_adapters():
            if record.origin == "fetched":
                await self.share(record)
        for record in published(self._store.adapters, self._store.outbox):
            await self.share(record)
            await self.announce(record)

    def manifest_of(self, record: AdapterRecord) -> AdapterManifest:
        """As `Catalogue.manifest_of`."""
        return self._listings.manifest_of(record)

    async def on_manifest(self, peer_id: PeerId, payload: bytes) -> bytes:
        """A peer asks for a manifest by adapter id."""
        record = adapter_named(self._store.adapters, payload.decode("ascii", "replace"))
        if record is None or record.manifest is None:
            raise NotFoundError("no such adapter here")
        return record.manifest
