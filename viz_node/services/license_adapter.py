"""Buy a license and fetch the adapter: pay once, take sealed files from anyone, the key from the holder, check all."""

import asyncio
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from viz_node.domain.ids import TokenAmount, format_amount
from viz_node.domain.job import Job
from viz_node.domain.manifest import AdapterManifest
from viz_node.domain.records import AdapterRecord
from viz_node.domain.strict_json import parse_json
from viz_node.errors import LicenseRequiredError, PriceAboveLimitError, VerificationError
from viz_node.ports import Keys, MarketGateway, PeerNetwork, Sealing, Store
from viz_node.services.catalogue import Catalogue, Listing
from viz_node.services.jobs import Report
from viz_node.services.library import adapter_named, entry_of
from viz_node.services.publish_adapter import KeyRequest
from viz_node.services.transact import Treasury

CheckAdapter = Callable[[Path], object]
_KEY_SECONDS = 240


class Buyer:
    """The licensee's side of the market."""

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
        check_adapter: CheckAdapter,
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
        self._check_adapter = check_adapter
        self._now = now

    async def license(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: pay for a license unless the account holds one; repeated after a crash it pays nothing twice."""
        listing = await self._catalogue.listing(str(job.order["adapter"]))
        offer, limit = listing.offer, int(job.order["max_price"])
        paid = entry_of(self._store, f"buy:{job.job_id}")
        expiry = await asyncio.to_thread(self._market.license_expiry, offer.offer_id, self._keys.account)
        if paid is None and expiry > self._now() and listing.manifest.license.kind == "perpetual":
            return {"adapter_id": listing.adapter_id, "paid": "0.00", "already_licensed": True}
        if offer.price > limit:
            raise PriceAboveLimitError(
                f"{listing.manifest.name} costs {format_amount(offer.price)}, more than {format_amount(limit)}",
                f"viz-node license {listing.manifest.name} --max-price {format_amount(offer.price)}",
            )
        detail = {"adapter": listing.adapter_id, "name": listing.manifest.name, "price": offer.price}
        report({"phase": "approve", "step": 1, "steps": 2})
        await self._treasury.execute(
            f"approve:{job.job_id}",
            lambda: self._market.prepare_approve(TokenAmount(offer.price)),
            detail | {"kind": "approve"},
        )
        report({"phase": "buy", "step": 2, "steps": 2})
        order_ref = hashlib.sha256(job.job_id.encode()).digest()
        receipt = await self._treasury.execute(
            f"buy:{job.job_id}",
            lambda: self._market.prepare_buy(offer.offer_id, self._keys.account, TokenAmount(limit), order_ref),
            detail | {"kind": "buy"},
        )
        return {"adapter_id": listing.adapter_id, "paid": format_amount(offer.price), "tx_hash": receipt.tx_hash}

    async def fetch(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: download, unseal and check a licensed adapter, and put it into the library."""
        listing = await self._catalogue.listing(str(job.order["adapter"]))
        manifest = listing.manifest
        existing = adapter_named(self._store, listing.adapter_id)
        if existing is not None:
            return {"name": existing.name, "adapter_id": listing.adapter_id, "directory": existing.directory}
        expiry = await asyncio.to_thread(self._market.license_expiry, listing.offer.offer_id, self._keys.account)
        if expiry <= self._now():
            raise LicenseRequiredError(
                f"this node holds no license for {manifest.name}",
                f"viz-node license {manifest.name} --max-price {format_amount(listing.offer.price)}",
            )
        name = self._free_name(manifest.name, listing.adapter_id)
        sealed = self._directory / "bundles" / name
        sealed.mkdir(parents=True, exist_ok=True, mode=0o700)
        await self._download(manifest, sealed, report)
        key = await self._request_key(listing)
        directory = await asyncio.to_thread(self._unseal, manifest, sealed, key, name)
        self._store.save_adapter(self._record(listing, name, directory, key))
        for entry in manifest.files:
            await self._network.share(sealed / f"{entry.name}.sealed")
            await self._network.provide(entry.blob_id)
        return {"name": name, "adapter_id": listing.adapter_id, "directory": str(directory)}

    async def _download(self, manifest: AdapterManifest, sealed: Path, report: Report) -> None:
        total, before = sum(entry.sealed_size_bytes for entry in manifest.files), 0
        for entry in manifest.files:
            destination = sealed / f"{entry.name}.sealed"
            if not destination.exists():
                providers = await self._network.find_providers(entry.blob_id)
                peers = list(dict.fromkeys([manifest.peer_id, *providers]))
                done = before
                await self._network.fetch(
                    entry.blob_id,
                    entry.sealed_size_bytes,
                    peers,
                    destination,
                    lambda got, _all, done=done: report({"phase": "fetch", "step": done + got, "steps": total}),  # type: ignore[misc]
                )
            before += entry.sealed_size_bytes

    async def _request_key(self, listing: Listing) -> bytes:
        request = KeyRequest(
            adapter_id=listing.adapter_id,
            account=self._keys.account,
            delivery_key=self._sealing.delivery_public().hex(),
            peer_id=self._keys.peer_id,
            expires=self._now() + _KEY_SECONDS,
        )
        body = dict(vars(request)) | {"signature": self._sealing.sign_as_account(request.text())}
        reply = await self._network.request(listing.manifest.peer_id, "key", json.dumps(body).encode())
        try:
            wrapped = bytes.fromhex(parse_json(reply)["wrapped"])
        except (ValueError, KeyError, TypeError) as error:
            raise VerificationError("the holder's answer to the key request is malformed") from error
        return self._sealing.unwrap_key(wrapped, request.text().encode())

    def _unseal(self, manifest: AdapterManifest, sealed: Path, key: bytes, name: str) -> Path:
        directory = self._directory / "adapters" / name
        partial = self._directory / "adapters" / f".{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True, mode=0o700)
        for entry in manifest.files:
            plain = partial / entry.name
            self._sealing.open_sealed_file(sealed / f"{entry.name}.sealed", plain, key)
            if hashlib.sha256(plain.read_bytes()).hexdigest() != entry.digest:
                raise VerificationError(f"{entry.name} of {manifest.name} has another digest than its manifest says")
        self._check_adapter(partial)
        shutil.rmtree(directory, ignore_errors=True)
        partial.rename(directory)
        return directory

    def _record(self, listing: Listing, name: str, directory: Path, key: bytes) -> AdapterRecord:
        manifest = listing.manifest
        return AdapterRecord(
            name=name,
            adapter_id=listing.adapter_id,
            base_name=manifest.base_model.name,
            base_digest=manifest.base_model.digest,
            directory=str(directory),
            origin="fetched",
            works=manifest.works,
            training=dict(manifest.training),
            evaluation=dict(manifest.evaluation),
            parents=manifest.parents,
            sealed_key=self._sealing.seal(key).hex(),
            manifest=(self._store.get_setting(f"manifest:{listing.adapter_id}") or "").encode(),
            created=self._now(),
        )

    def _free_name(self, name: str, adapter_id: str) -> str:
        safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in name).lstrip(".")[:48] or "adapter"
        return safe if adapter_named(self._store, safe) is None else f"{safe}-{adapter_id[:8]}"
