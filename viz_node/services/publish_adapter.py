"""Offer an adapter: seal its files, sign the manifest, register it on the chain, announce it, and hand out keys."""

import asyncio
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from viz_node.domain import announcement as wire
from viz_node.domain.announcement import Announcement, SignedAnnouncement
from viz_node.domain.ids import AdapterId, BasisPoints, PeerId, TokenAmount, WorkId, parse_account, parse_amount
from viz_node.domain.job import Job
from viz_node.domain.manifest import (
    FILE_NAMES,
    SIGNING_CONTEXT,
    AdapterManifest,
    BaseModelRef,
    LicenseTerms,
    ManifestFile,
)
from viz_node.domain.records import AdapterRecord
from viz_node.domain.royalty import RoyaltySplit, parse_split, split_from_shares
from viz_node.domain.strict_json import parse_json
from viz_node.errors import LicenseRequiredError, NotFoundError, UsageError, VerificationError
from viz_node.ports import Keys, MarketGateway, PeerNetwork, Sealing, Store
from viz_node.services.catalogue import Catalogue, seal_envelope
from viz_node.services.jobs import Report
from viz_node.services.library import adapter_named, entry_of
from viz_node.services.transact import Treasury

KEY_REQUEST_CONTEXT = "viz-node/key-request/1"
LICENSE_TEXT = (
    "The licensee may run and adapt the model with this adapter for its own purposes, commercial ones included. "
    "It may not pass on the adapter or its key."
)
_LIFETIME_SECONDS = 24 * 3600
_KEY_REQUEST_SECONDS = 300


@dataclass(frozen=True)
class KeyRequest:
    """A licensee's wish for the key of an adapter, signed by the licensed account for one delivery key and one peer."""

    adapter_id: str
    account: str
    delivery_key: str
    peer_id: str
    expires: int

    def text(self) -> str:
        """What the account signs."""
        fields = [
            KEY_REQUEST_CONTEXT,
            self.adapter_id,
            self.account,
            self.delivery_key,
            self.peer_id,
            str(self.expires),
        ]
        return "\n".join(fields)


class Publisher:
    """The seller's side of the market."""

    def __init__(
        self,
        store: Store,
        keys: Keys,
        sealing: Sealing,
        *,
        network: PeerNetwork,
        market: MarketGateway,
        treasury: Treasury,
        catalogue: Catalogue,
        directory: Path,
        blob_id_of: Callable[[Path], str],
        now: Callable[[], int],
    ) -> None:
        self._store = store
        self._keys = keys
        self._sealing = sealing
        self._network = network
        self._market = market
        self._treasury = treasury
        self._catalogue = catalogue
        self._directory = directory
        self._blob_id_of = blob_id_of
        self._now = now

    def check_order(
        self, adapter: str, price: str, split: str | None, license_kind: str, duration_days: int | None
    ) -> dict[str, Any]:
        """The terms in canonical form; a federated adapter has the split that its members agreed to.

        Raises: NotFoundError, UsageError, InvalidSplitError.
        """
        amount = parse_amount(price)
        if amount < 1 or amount >= 2**63:
            raise UsageError(f"the price {price} is out of range", "--price 5.00")
        shares = self._split(adapter, split)
        days = duration_days if duration_days is not None else (30 if license_kind == "subscription" else 0)
        terms = LicenseTerms(license_kind, days * 86_400, LICENSE_TEXT)
        return {"price": amount, "split": dict(shares.shares), "kind": terms.kind, "duration": terms.duration_seconds}

    async def publish(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: seal, sign, register and announce; every step can be repeated."""
        record = self._store.find_adapter(str(job.order["adapter"]))
        if record.origin == "fetched":
            raise NotFoundError(f"there is no adapter {job.order['adapter']!r} of yours", "see `viz-node adapters`")
        report({"phase": "seal", "step": 1, "steps": 3})
        if record.manifest is None:
            record = await asyncio.to_thread(self._prepare, record, job.order)
        manifest = self._manifest_of(record)
        report({"phase": "register", "step": 2, "steps": 3})
        price = TokenAmount(int(job.order["price"]))
        receipt = await self._treasury.execute(
            f"publish:{manifest.adapter_id()}",
            lambda: self._market.prepare_publish(
                (
                    bytes.fromhex(manifest.adapter_id()),
                    bytes.fromhex(manifest.base_model.digest),
                    manifest.license.digest(),
                ),
                manifest.split,
                price,
                manifest.license.duration_seconds,
            ),
            {"kind": "publish", "adapter": record.name},
        )
        report({"phase": "announce", "step": 3, "steps": 3})
        await self.share(record)
        await self.announce(record)
        return {"adapter_id": manifest.adapter_id(), "tx_hash": receipt.tx_hash, "price": job.order["price"]}

    async def announce(self, record: AdapterRecord) -> None:
        """Tell the network about a published adapter, with a new sequence number."""
        manifest = self._manifest_of(record)
        item = Announcement(
            adapter_id=manifest.adapter_id(),
            peer_id=self._keys.peer_id,
            addresses=tuple(self._network.addresses[:8]),
            name=manifest.name,
            base_model=manifest.base_model.name,
            sequence=self._now(),
            expires=self._now() + _LIFETIME_SECONDS,
        )
        signature = self._sealing.sign(wire.SIGNING_CONTEXT + item.payload())
        raw = SignedAnnouncement(item, signature).to_bytes()
        self._catalogue.take_in(raw)
        await self._network.announce(item.adapter_id, raw)

    async def share(self, record: AdapterRecord) -> None:
        """Serve the sealed files of a published or fetched adapter."""
        for entry in self._manifest_of(record).files:
            path = self._directory / manifest_folder(record) / f"{entry.name}.sealed"
            if path.exists():
                await self._network.share(path)

    def published(self) -> list[AdapterRecord]:
        """The adapters that this node sells."""
        own = [record for record in self._store.list_adapters() if record.manifest and record.origin != "fetched"]
        return [record for record in own if self._is_registered(record)]

    async def on_manifest(self, peer_id: PeerId, payload: bytes) -> bytes:
        """A peer asks for a manifest by adapter id."""
        record = adapter_named(self._store, payload.decode("ascii", "replace"))
        if record is None or record.manifest is None:
            raise NotFoundError("no such adapter here")
        return record.manifest

    async def on_key(self, peer_id: PeerId, payload: bytes) -> bytes:
        """A licensee asks for the key of an adapter; the chain decides."""
        request, signature = parse_key_request(payload, self._now())
        if request.peer_id != peer_id:
            raise VerificationError("the request was signed for another peer")
        if self._sealing.recover_account(request.text(), signature) != request.account:
            raise VerificationError("the request is not signed by the account that it names")
        record = adapter_named(self._store, request.adapter_id)
        if record is None or record.sealed_key is None or record.origin == "fetched":
            raise NotFoundError("no such adapter here")
        if not await asyncio.to_thread(self._is_licensed, self._manifest_of(record), request.account):
            raise LicenseRequiredError(f"{request.account} holds no license for {record.name}", "viz-node license")
        key = self._sealing.open(bytes.fromhex(record.sealed_key))
        wrapped = self._sealing.wrap_key(bytes.fromhex(request.delivery_key), key, request.text().encode())
        return json.dumps({"wrapped": wrapped.hex()}).encode()

    def _is_licensed(self, manifest: AdapterManifest, account: str) -> bool:
        on_chain = self._market.find_adapter(bytes.fromhex(manifest.adapter_id()), manifest.account)
        offers = [] if on_chain is None else self._market.offers_of(on_chain.number)
        holder = parse_account(account)
        return any(self._market.license_expiry(offer.offer_id, holder) > self._now() for offer in offers)

    def _is_registered(self, record: AdapterRecord) -> bool:
        entry = entry_of(self._store, f"publish:{record.adapter_id}")
        return entry is not None and entry.state == "confirmed"

    def _prepare(self, record: AdapterRecord, order: dict[str, Any]) -> AdapterRecord:
        key = self._sealing.new_key()
        folder = self._directory / manifest_folder(record)
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        files = []
        for name in FILE_NAMES:
            source, sealed = Path(record.directory) / name, folder / f"{name}.sealed"
            self._sealing.seal_file(source, sealed, key)
            files.append(
                ManifestFile(
                    name=name,
                    size_bytes=source.stat().st_size,
                    digest=hashlib.sha256(source.read_bytes()).hexdigest(),
                    blob_id=self._blob_id_of(sealed),
                    sealed_size_bytes=sealed.stat().st_size,
                )
            )
        manifest = AdapterManifest(
            name=record.name,
            account=self._keys.account,
            peer_id=self._keys.peer_id,
            base_model=BaseModelRef(record.base_name, record.base_digest),
            files=tuple(files),
            parents=tuple(AdapterId(parent) for parent in record.parents),
            license=LicenseTerms(str(order["kind"]), int(order["duration"]), LICENSE_TEXT),
            split=split_from_shares({parse_account(k): BasisPoints(v) for k, v in order["split"].items()}),
            works=tuple(WorkId(work) for work in record.works),
            training={k: v for k, v in record.training.items() if k != "job"},
            evaluation=dict(record.evaluation),
            created=record.created,
        )
        envelope = seal_envelope(manifest, self._sealing.sign(SIGNING_CONTEXT + manifest.payload()))
        prepared = replace(
            record, adapter_id=manifest.adapter_id(), manifest=envelope, sealed_key=self._sealing.seal(key).hex()
        )
        self._store.save_adapter(prepared)
        return prepared

    def _manifest_of(self, record: AdapterRecord) -> AdapterManifest:
        if record.manifest is None or record.adapter_id is None:
            raise NotFoundError(f"{record.name} is not published", f"viz-node publish {record.name} --price 5.00")
        item = Announcement(AdapterId(record.adapter_id), peer_of(record.manifest), (), record.name, "", 0, 0)
        return self._catalogue.open_envelope(item, record.manifest)

    def _split(self, adapter: str, text: str | None) -> RoyaltySplit:
        record = self._store.find_adapter(adapter)
        asked = parse_split(text) if text else None
        if record.origin != "federated":
            return asked or split_from_shares({self._keys.account: BasisPoints(10_000)})
        federation = self._store.find_federation(str(record.training["federation"]))
        shares = federation["shares"]
        agreed = split_from_shares({parse_account(k): BasisPoints(v) for k, v in shares.items()})
        if asked not in (None, agreed):
            raise UsageError(f"the members of {record.name} agreed to another split", "leave --split out")
        return agreed


def manifest_folder(record: AdapterRecord) -> str:
    """The folder of an adapter's sealed files, below the node's bundles."""
    return record.name


def peer_of(envelope: bytes) -> PeerId:
    """The peer that a stored, already verified manifest names."""
    return PeerId(json.loads(json.loads(envelope)["payload"])["peer_id"])


def parse_key_request(payload: bytes, now: int) -> tuple[KeyRequest, str]:
    """Read a key request from a stranger. Raises: VerificationError."""
    try:
        body = parse_json(payload)
        signature = str(body.pop("signature"))
        request = KeyRequest(**body)
        key = bytes.fromhex(request.delivery_key)
        parse_account(request.account)
        if len(payload) > 4096 or len(key) != 32 or not now - 60 < request.expires <= now + _KEY_REQUEST_SECONDS:
            raise ValueError("out of bounds")
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError, UsageError) as error:
        raise VerificationError("the key request is malformed or expired") from error
    return request, signature
