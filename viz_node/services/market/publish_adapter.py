"""Offer an adapter: seal its files, sign the manifest, register it on the chain and announce it."""

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import Any

from viz_node.domain import announcement as wire
from viz_node.domain.announcement import Announcement, SignedAnnouncement
from viz_node.domain.ids import WHOLE, AdapterId, BasisPoints, PeerId, format_amount, parse_account
from viz_node.domain.job import Job
from viz_node.domain.manifest import (
    FILE_NAMES,
    SIGNING_CONTEXT,
    AdapterManifest,
    BaseModelRef,
    LicenseTerms,
    ManifestFile,
)
from viz_node.domain.offer import OfferTerms
from viz_node.domain.permissions import parse_permissions
from viz_node.domain.records import DONE_OUTBOX_STATES, AdapterRecord, OutboxEntry
from viz_node.domain.royalty import (
    RoyaltySplit,
    parse_percent,
    parse_split,
    split_from_shares,
    with_lineage,
    with_platform,
)
from viz_node.domain.terms import AskedTerms
from viz_node.domain.transaction import Call
from viz_node.errors import ChainUnavailableError, DeadlineError, NotFoundError, RefusedError, UsageError
from viz_node.services.library.look_up import adapter_named, entry_of
from viz_node.services.market.listings import seal_envelope
from viz_node.services.market.trade import Trade
from viz_node.services.part import Report

_LIFETIME_SECONDS = 24 * 3600


class Publisher:
    """The seller's side of the market."""

    def __init__(self, trade: Trade, directory: Path, blob_id_of: Callable[[Path], str]) -> None:
        self._trade = trade
        self._directory = directory
        self._blob_id_of = blob_id_of

    async def lineage(self, texts: Sequence[str]) -> list[dict[str, Any]]:
        """What `ADAPTER=PERCENT` promises to parents, each at least what its terms demand.

        Raises: UsageError, RefusedError (a parent's terms forbid it), and as `Catalogue.listing`.
        """
        parents = []
        for text in texts:
            name, _, percent = text.partition("=")
            share = parse_percent(percent)
            listing = await self._trade.catalogue.listing(name)
            allowed = listing.manifest.license.permissions
            if not allowed.derivatives:
                raise RefusedError(f"the terms of {name} allow no derived adapters", f"viz-node show {name}")
            if share < allowed.derivative_share:
                least = f"{allowed.derivative_share / 100:g}"
                raise RefusedError(f"the terms of {name} demand {least} percent", f"--parent {name}={least}")
            parents.append({"adapter_id": listing.adapter_id, "split_id": listing.offer.split_id, "share": share})
        return parents

    def check_order(self, adapter: str, asked: AskedTerms, parents: Sequence[dict[str, Any]] = ()) -> dict[str, Any]:
        """The terms in canonical form; a federated adapter has the split that its members agreed to.

        Raises: NotFoundError, UsageError, InvalidSplitError.
        """
        record = self._trade.store.find_adapter(adapter)
        shares = self._split(record, asked.split)
        rest = {"kind": asked.license_kind, "split": dict(shares.shares), "permissions": asked.permissions.body()}
        terms = asdict(asked.offer()) | rest | {"parents": list(parents)}
        self._check_same_terms(record, terms)
        return {"terms": terms}

    async def publish(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: seal, sign, register and announce; every step can be repeated."""
        record = self._trade.store.find_adapter(str(job.order["adapter"]))
        if record.origin == "fetched":
            raise NotFoundError(f"there is no adapter {job.order['adapter']!r} of yours", "see `viz-node adapters`")
        terms = dict(job.order["terms"])
        await self.require_known(record.name)
        self._check_same_terms(record, terms)
        report({"phase": "seal", "step": 1, "steps": 3})
        if self._registration(record) is None:
            record = await asyncio.to_thread(self._prepare, record, terms)
        manifest = self._trade.catalogue.manifest_of(record)
        report({"phase": "register", "step": 2, "steps": 3})
        tx_hash = await self._trade.treasury.execute(
            f"publish:{manifest.adapter_id()}",
            lambda: self._prepare_call(manifest, offer_of(terms)),
            {"kind": "publish", "adapter": record.name, "terms": terms, "job": job.job_id},
        )
        report({"phase": "announce", "step": 3, "steps": 3})
        await self.share(record)
        await self.announce(record)
        return {"adapter_id": manifest.adapter_id(), "tx_hash": tx_hash, "price": format_amount(terms["price"])}

    async def announce(self, record: AdapterRecord) -> None:
        """Tell the network about a published adapter, with a new sequence number."""
        manifest = self._trade.catalogue.manifest_of(record)
        item = Announcement(
            adapter_id=manifest.adapter_id(),
            peer_id=self._trade.keys.peer_id,
            addresses=tuple(self._trade.network.announced),
            name=manifest.name,
            base_model=manifest.base_model.name,
            sequence=self._trade.now(),
            expires=self._trade.now() + _LIFETIME_SECONDS,
        )
        signature = self._trade.sealing.sign(wire.SIGNING_CONTEXT + item.payload())
        raw = SignedAnnouncement(item, signature).to_bytes()
        self._trade.catalogue.announcements.take_in(raw)
        await self._trade.network.announce(item.adapter_id, raw)

    async def share(self, record: AdapterRecord) -> None:
        """Serve the sealed files of a published or fetched adapter."""
        for entry in self._trade.catalogue.manifest_of(record).files:
            path = self._directory / record.name / f"{entry.name}.sealed"
            with suppress(NotFoundError):
                await self._trade.network.share(path)
                await self._trade.network.provide(entry.blob_id)

    def unshare(self, record: AdapterRecord) -> None:
        """Serve the sealed files of an adapter no longer."""
        if record.manifest is not None:
            for entry in self._trade.catalogue.manifest_of(record).files:
                self._trade.network.unshare(entry.blob_id)

    async def serve_library(self) -> None:
        """Serve and announce again what this node sells, and serve what it has fetched: the network forgets."""
        for record in self._trade.store.list_adapters():
            if record.origin == "fetched":
                await self.share(record)
        for record in self.published():
            await self.share(record)
            await self.announce(record)

    def published(self) -> list[AdapterRecord]:
        """The adapters that this node sells."""
        own = [record for record in self._trade.store.list_adapters() if record.origin != "fetched"]
        found = [(record, self._registration(record)) for record in own]
        return [record for record, entry in found if entry is not None and entry.state in DONE_OUTBOX_STATES]

    async def on_manifest(self, peer_id: PeerId, payload: bytes) -> bytes:
        """A peer asks for a manifest by adapter id."""
        record = adapter_named(self._trade.store, payload.decode("ascii", "replace"))
        if record is None or record.manifest is None:
            raise NotFoundError("no such adapter here")
        return record.manifest

    def _registration(self, record: AdapterRecord) -> OutboxEntry | None:
        """The transaction that registers the adapter, unless there is none that can succeed."""
        entry = entry_of(self._trade.store, f"publish:{record.adapter_id}") if record.manifest else None
        return None if entry is None or entry.state == "failed" else entry

    def _check_same_terms(self, record: AdapterRecord, terms: dict[str, Any]) -> None:
        entry = self._registration(record)
        if entry is None or entry.detail["terms"] == terms:
            return
        if entry.state not in DONE_OUTBOX_STATES:
            told = (
                f"{record.name} is about to be published with other terms: transaction {entry.tx_hash} is in no block"
            )
            raise DeadlineError(f"{told} that counts yet", "try again when the chain answers; see `viz-node status`")
        raise UsageError(f"{record.name} is published with other terms", f"viz-node pricing set {record.name}")

    async def require_known(self, adapter: str) -> None:
        """What this node's book has as published, the chain knows: a chain that is down or was reset is named.

        Raises: NotFoundError, ChainUnavailableError.
        """
        record = self._trade.store.find_adapter(adapter)
        entry = self._registration(record)
        if entry is None or entry.state not in DONE_OUTBOX_STATES or record.adapter_id is None:
            return
        digest, account = bytes.fromhex(record.adapter_id), self._trade.keys.account
        if await asyncio.to_thread(self._trade.market.find_adapter, digest, account) is None:
            raise ChainUnavailableError(
                f"this node has published {record.name}, and the chain does not know it: it was reset, or is behind",
                "restore the chain's state, or start with a new --home",
            )

    def _prepare_call(self, manifest: AdapterManifest, terms: OfferTerms) -> Call:
        digests = (manifest.adapter_id(), manifest.base_model.digest, manifest.license.digest().hex())
        first, second, third = (bytes.fromhex(digest) for digest in digests)
        key_hash = bytes.fromhex(manifest.key_hash)
        return self._trade.market.prepare_publish((first, second, third), manifest.split, terms, key_hash)

    def _prepare(self, record: AdapterRecord, terms: dict[str, Any]) -> AdapterRecord:
        key, sealing = self._trade.sealing.new_key(), self._trade.sealing
        key_hash = self._trade.delivery.key_hash(key).hex()
        manifest = self._manifest(record, terms, self._seal_files(record, key), key_hash)
        envelope = seal_envelope(manifest, sealing.sign(SIGNING_CONTEXT + manifest.payload()))
        sealed_key = sealing.seal(key).hex()
        prepared = replace(record, adapter_id=manifest.adapter_id(), manifest=envelope, sealed_key=sealed_key)
        self._trade.store.save_adapter(prepared)
        return prepared

    def _seal_files(self, record: AdapterRecord, key: bytes) -> tuple[ManifestFile, ...]:
        folder = self._directory / record.name
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        files = []
        for name in FILE_NAMES:
            source, sealed = Path(record.directory) / name, folder / f"{name}.sealed"
            self._trade.sealing.seal_file(source, sealed, key)
            digest, size = hashlib.sha256(source.read_bytes()).hexdigest(), source.stat().st_size
            files.append(ManifestFile(name, size, digest, self._blob_id_of(sealed), sealed.stat().st_size))
        return tuple(files)

    def _manifest(
        self, record: AdapterRecord, terms: dict[str, Any], files: tuple[ManifestFile, ...], key_hash: str
    ) -> AdapterManifest:
        facts = self._trade.market.facts()
        return AdapterManifest(
            name=record.name,
            account=self._trade.keys.account,
            peer_id=self._trade.keys.peer_id,
            base_model=BaseModelRef(record.base_name, record.base_digest),
            files=files,
            key_hash=key_hash,
            parents=(*record.parents, *(AdapterId(parent["adapter_id"]) for parent in terms["parents"])),
            license=LicenseTerms(
                str(terms["kind"]), int(terms["duration_seconds"]), parse_permissions(terms["permissions"])
            ),
            split=with_platform(shared_split(terms), facts.platform, facts.platform_fee),
            works=record.works,
            training={k: v for k, v in record.training.items() if k != "job"},
            evaluation=dict(record.evaluation),
            created=record.created,
        )

    def _split(self, record: AdapterRecord, text: str | None) -> RoyaltySplit:
        asked = parse_split(text) if text else None
        if record.origin != "federated":
            return asked or split_from_shares({self._trade.keys.account: BasisPoints(WHOLE)})
        agreed = split_from_shares(
            self._trade.store.find_federation(str(record.training["federation"])).agreed_shares()
        )
        if asked not in (None, agreed):
            raise UsageError(f"the members of {record.name} agreed to another split", "leave --split out")
        return agreed


def offer_of(terms: Mapping[str, Any]) -> OfferTerms:
    """The market's part of an order's terms."""
    return OfferTerms(**{field.name: terms[field.name] for field in fields(OfferTerms)})


def shared_split(terms: Mapping[str, Any]) -> RoyaltySplit:
    """The owner's split with its parents' part, before the platform's."""
    share_by_split = {int(parent["split_id"]): BasisPoints(parent["share"]) for parent in terms["parents"]}
    return with_lineage(_split_of(terms["split"]), share_by_split)


def _split_of(shares: Mapping[str, int]) -> RoyaltySplit:
    return split_from_shares({parse_account(account): BasisPoints(share) for account, share in shares.items()})
