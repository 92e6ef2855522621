"""Fetch a licensed adapter: take sealed files from anyone, the key from the owner or the order, check all."""

import asyncio
import hashlib
import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from viz_node.domain.decide_purchase import how_to_buy, paid_by_use
from viz_node.domain.ids import Account, AdapterId
from viz_node.domain.job import Job, JobState, JobStep
from viz_node.domain.manifest import AdapterManifest
from viz_node.domain.orders import FetchOrder, subject_of
from viz_node.domain.records import AdapterRecord
from viz_node.domain.strict_json import parse_json
from viz_node.errors import LicenseRequiredError, VerificationError
from viz_node.ports.keys import BundleOpening, Keys
from viz_node.ports.network import Requests, Transfer
from viz_node.ports.state import WithAdapters, WithJobs, WithManifests
from viz_node.services.library.look_up import adapter_named
from viz_node.services.market.deliver_key import KEY_METHOD, KeyRequest
from viz_node.services.market.listings import Listing, Listings
from viz_node.services.market.order_key import KeyOrders
from viz_node.services.part import Report

CheckAdapter = Callable[[Path], object]
_KEY_SECONDS = 240


class Coverage(Protocol):
    """Whether a catalogue to which this account subscribes now has the adapter."""

    async def covers(self, adapter_number: int) -> bool: ...


@dataclass(frozen=True)
class AdapterFiles:
    """Where adapters come to lie, what checks them, what names their sealed files, and the time."""

    directory: Path
    check: CheckAdapter
    blob_id_of: Callable[[Path], str]
    now: Callable[[], int]


class KeyRequests:
    """Asks owners' nodes for keys."""

    def __init__(self, keys: Keys, sealing: BundleOpening, network: Requests, now: Callable[[], int]) -> None:
        self._keys = keys
        self._sealing = sealing
        self._network = network
        self._now = now

    async def request(self, listing: Listing) -> bytes:
        """The key, for a request that this account signs. Raises: VerificationError, UnreachableError, RefusedError."""
        request = KeyRequest(
            adapter_id=listing.adapter_id,
            account=self._keys.account,
            delivery_key=self._sealing.delivery_public().hex(),
            peer_id=self._keys.peer_id,
            expires=self._now() + _KEY_SECONDS,
        )
        signature = await asyncio.to_thread(self._sealing.sign_as_account, request.text())
        body = dict(vars(request)) | {"signature": signature}
        reply = await self._network.request(listing.manifest.peer_id, KEY_METHOD, json.dumps(body).encode())
        try:
            wrapped = bytes.fromhex(parse_json(reply)["wrapped"])
        except (ValueError, KeyError, TypeError) as error:
            raise VerificationError("the owner's answer to the key request is malformed") from error
        return self._sealing.unwrap_key(wrapped, request.text().encode())


class AdapterKeys:
    """The key of an adapter that this account may use: brought by an order, or asked of its owner."""

    def __init__(
        self, listings: Listings, orders: KeyOrders, requests: KeyRequests, coverage: Coverage, account: Account
    ) -> None:
        self.request = requests.request
        self._listings = listings
        self._orders = orders
        self._coverage = coverage
        self._account = account

    async def collect(self, listing: Listing) -> bytes | None:
        """The key that an order has brought, or brings soon; None if the owner's node is to be asked.

        Raises: LicenseRequiredError, RefusedError (paid by use), DeadlineError.
        """
        manifest = listing.manifest
        key = await self._orders.collect(manifest.key_hash)
        is_licensed = await self._listings.is_licensed(listing.adapter_number, self._account)
        if not is_licensed and not await self._coverage.covers(listing.adapter_number):
            if manifest.license.kind == "metered":
                raise paid_by_use(manifest.name).error()
            told = f"this node holds no license for {manifest.name}"
            raise LicenseRequiredError(told, how_to_buy(manifest.name, listing.offer))
        return key


@dataclass(frozen=True)
class FetchedAdapter:
    """An adapter that is in the library now, and its folder."""

    name: str
    adapter_id: AdapterId
    directory: str


class FetcherState(WithAdapters, WithJobs, WithManifests, Protocol):
    """The adapters, the jobs that will name one, and the manifests of others."""


class Fetcher:
    """Puts what others sell into this node's library."""

    def __init__(
        self,
        store: FetcherState,
        sealing: BundleOpening,
        network: Transfer,
        listings: Listings,
        keys: AdapterKeys,
        files: AdapterFiles,
    ) -> None:
        self._store = store
        self._sealing = sealing
        self._network = network
        self._listings = listings
        self._keys = keys
        self._files = files

    async def fetch(self, job: Job[FetchOrder], report: Report) -> FetchedAdapter:
        """Job: download, unseal and check a licensed adapter, and put it into the library."""
        listing = await self._listings.listing(job.order.adapter)
        manifest = listing.manifest
        existing = adapter_named(self._store.adapters, listing.adapter_id)
        if existing is not None:
            return FetchedAdapter(existing.name, listing.adapter_id, existing.directory)
        key = await self._keys.collect(listing)
        name = self._free_name(manifest.name, listing.adapter_id)
        sealed = self._files.directory / "bundles" / name
        sealed.mkdir(parents=True, exist_ok=True, mode=0o700)
        await self._download(manifest, sealed, report)
        key = key or await self._keys.request(listing)
        directory = await asyncio.to_thread(self._unseal, manifest, sealed, key, name)
        # Shared before it is recorded: a fetch that a crash ends here runs again.
        for entry in manifest.files:
            await self._network.share(sealed / f"{entry.name}.sealed")
            await self._network.provide(entry.blob_id)
        self._store.adapters.save_adapter(self._record(listing, name, directory, key))
        return FetchedAdapter(name, listing.adapter_id, str(directory))

    async def _download(self, manifest: AdapterManifest, sealed: Path, report: Report) -> None:
        total, before = sum(entry.sealed_size_bytes for entry in manifest.files), 0
        for entry in manifest.files:
            destination = sealed / f"{entry.name}.sealed"
            # A file that is there may be left from an adapter of the same name.
            if (
                not destination.exists()
                or await asyncio.to_thread(self._files.blob_id_of, destination) != entry.blob_id
            ):
                destination.unlink(missing_ok=True)
                providers = await self._network.find_providers(entry.blob_id)
                peers = list(dict.fromkeys([manifest.peer_id, *providers]))
                done = before
                await self._network.fetch(
                    entry.blob_id,
                    entry.sealed_size_bytes,
                    peers,
                    destination,
                    lambda got, _all, done=done: report(JobStep("fetch", done + got, total)),  # type: ignore[misc]
                )
            before += entry.sealed_size_bytes

    def _unseal(self, manifest: AdapterManifest, sealed: Path, key: bytes, name: str) -> Path:
        directory = self._files.directory / "adapters" / name
        partial = self._files.directory / "adapters" / f".{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True, mode=0o700)
        for entry in manifest.files:
            plain = partial / entry.name
            self._sealing.open_sealed_file(sealed / f"{entry.name}.sealed", plain, key)
            if hashlib.sha256(plain.read_bytes()).hexdigest() != entry.digest:
                raise VerificationError(f"{entry.name} of {manifest.name} has another digest than its manifest says")
        self._files.check(partial)
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
            manifest=self._store.manifests.find_manifest(listing.adapter_id) or b"",
            created=self._files.now(),
        )

    def _free_name(self, name: str, adapter_id: str) -> str:
        """The listing's name, made fit for a folder, unless something of this node has it or is about to."""
        safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in name).lstrip(".")[:48] or "adapter"
        unfinished = [job for job in self._store.jobs.list_jobs() if job.state is not JobState.DONE]
        is_taken = any(job.kind in {"train", "federate"} and subject_of(job.order) == safe for job in unfinished)
        is_taken = is_taken or adapter_named(self._store.adapters, safe) is not None
        return f"{safe}-{adapter_id[:8]}" if is_taken else safe
