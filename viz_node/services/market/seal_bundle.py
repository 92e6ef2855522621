"""Seal the files of an adapter under a new key, and sign the manifest that names them."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from viz_node.domain.ids import AdapterId
from viz_node.domain.manifest import (
    FILE_NAMES,
    SIGNING_CONTEXT,
    AdapterManifest,
    BaseModelRef,
    LicenseTerms,
    ManifestFile,
)
from viz_node.domain.records import AdapterRecord
from viz_node.domain.royalty import with_platform
from viz_node.domain.terms import PublicationTerms
from viz_node.ports.keys import BundleSealing, KeyDelivery, Keys
from viz_node.ports.market import Publications
from viz_node.ports.state import Adapters
from viz_node.services.library.clear_bases import Clearance
from viz_node.services.market.listings import seal_envelope
from viz_node.services.market.order_publication import shared_split


@dataclass(frozen=True)
class SellerKeys:
    """Who sells, and what signs and seals for them."""

    names: Keys
    sealing: BundleSealing
    delivery: KeyDelivery


@dataclass(frozen=True)
class BundleFiles:
    """Where sealed files lie, and what names them."""

    directory: Path
    blob_id_of: Callable[[Path], str]


class Bundles:
    """Makes signed, sealed bundles."""

    def __init__(
        self, adapters: Adapters, market: Publications, keys: SellerKeys, files: BundleFiles, clearance: Clearance
    ) -> None:
        self._adapters = adapters
        self._clearance = clearance
        self._market = market
        self._keys = keys
        self._files = files

    def prepare(self, record: AdapterRecord, terms: PublicationTerms) -> AdapterRecord:
        """The record with its manifest and sealed key, kept; blocks. Raises: StorageError."""
        key, sealing = self._keys.sealing.new_key(), self._keys.sealing
        key_hash = self._keys.delivery.key_hash(key).hex()
        manifest = self._manifest(record, terms, self._seal_files(record, key), key_hash)
        envelope = seal_envelope(manifest, sealing.sign(SIGNING_CONTEXT + manifest.payload()))
        sealed_key = sealing.seal(key).hex()
        prepared = replace(record, adapter_id=manifest.adapter_id(), manifest=envelope, sealed_key=sealed_key)
        self._adapters.save_adapter(prepared)
        return prepared

    def _seal_files(self, record: AdapterRecord, key: bytes) -> tuple[ManifestFile, ...]:
        folder = self._files.directory / record.name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        files = []
        for name in FILE_NAMES:
            source, sealed = Path(record.directory) / name, folder / f"{name}.sealed"
            self._keys.sealing.seal_file(source, sealed, key)
            digest, size = hashlib.sha256(source.read_bytes()).hexdigest(), source.stat().st_size
            files.append(ManifestFile(name, size, digest, self._files.blob_id_of(sealed), sealed.stat().st_size))
        return tuple(files)

    def _manifest(
        self, record: AdapterRecord, terms: PublicationTerms, files: tuple[ManifestFile, ...], key_hash: str
    ) -> AdapterManifest:
        facts = self._market.facts()
        return AdapterManifest(
            name=record.name,
            account=self._keys.names.account,
            peer_id=self._keys.names.peer_id,
            base_model=BaseModelRef(record.base_name, record.base_digest),
            files=files,
            key_hash=key_hash,
            parents=(*record.parents, *(AdapterId(parent.adapter_id) for parent in terms.parents)),
            license=LicenseTerms(terms.kind, terms.duration_seconds, terms.permissions),
            split=with_platform(shared_split(terms), facts.platform, facts.platform_fee),
            works=record.works,
            training={k: v for k, v in record.training.items() if k != "job"} | self._clearance.facts_of(record),
            evaluation=dict(record.evaluation),
            created=record.created,
        )
