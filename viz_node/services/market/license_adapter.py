"""Buy a license and fetch the adapter: pay once, take sealed files from anyone, the key from the holder, check all."""

import asyncio
import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from viz_node.domain.ids import TokenAmount, format_amount
from viz_node.domain.job import Job, JobState
from viz_node.domain.manifest import AdapterManifest
from viz_node.domain.offer import Offer
from viz_node.domain.records import AdapterRecord
from viz_node.domain.strict_json import parse_json
from viz_node.domain.transaction import Call
from viz_node.errors import LicenseRequiredError, PriceAboveLimitError, RefusedError, UsageError, VerificationError
from viz_node.services.library.look_up import adapter_named
from viz_node.services.market.deliver_key import KEY_METHOD, KeyRequest
from viz_node.services.market.listings import Listing
from viz_node.services.market.order_key import KeyOrders
from viz_node.services.market.trade import Trade
from viz_node.services.part import Report
from viz_node.services.pools.subscribe_pool import Subscriptions

CheckAdapter = Callable[[Path], object]
_KEY_SECONDS = 240


class Buyer:
    """The licensee's side of the market."""

    def __init__(
        self,
        trade: Trade,
        orders: KeyOrders,
        subscriptions: Subscriptions,
        directory: Path,
        check_adapter: CheckAdapter,
        blob_id_of: Callable[[Path], str],
    ) -> None:
        self._trade = trade
        self._payments = trade.payments
        self._orders = orders
        self._subscriptions = subscriptions
        self._directory = directory
        self._check_adapter = check_adapter
        self._blob_id_of = blob_id_of

    async def license(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: pay for a license unless the account holds one; repeated after a crash it pays nothing twice."""
        trade, order_id = self._trade, f"buy:{job.job_id}"
        paid = await trade.treasury.finish(order_id)
        if paid is not None:  # signed before a crash: what the market offers by now does not matter any more
            return _result(paid.detail, paid.tx_hash)
        listing = await trade.catalogue.listing(str(job.order["adapter"]))
        offer = await self.choose(listing, bool(job.order.get("renew")))
        done = await self.already(listing, offer)
        if done is not None:
            return done
        require_price(listing.manifest.name, offer, int(job.order["max_price"]))
        order_ref = hashlib.sha256(job.job_id.encode()).digest()
        # The price that was shown and approved, not the limit: it may have risen since.
        is_order = await self.is_ordered(offer)
        call = self._purchase(listing, offer, order_ref, is_order)
        detail = {
            "adapter": listing.adapter_id,
            "name": listing.manifest.name,
            "price": offer.price,
            "job": job.job_id,
            "kind": "order" if is_order else "buy",
        }
        report({"phase": "buy", "step": 1, "steps": 1})
        return _result(detail, await self._payments.execute(order_id, TokenAmount(offer.price), call, detail))

    async def choose(self, listing: Listing, is_renewal: bool) -> Offer:
        """The offer to pay for; of a renewal the one that is held. Raises: RefusedError, UsageError, NotFoundError."""
        name, kind, offer = listing.manifest.name, listing.manifest.license.kind, listing.offer
        if kind == "metered":
            raise paid_by_use(name)
        if is_renewal and kind == "perpetual":
            raise UsageError(f"a license for {name} never ends", f"viz-node fetch {name}")
        if is_renewal:
            held = await asyncio.to_thread(self._held, listing.adapter_number)
            if not held:
                raise LicenseRequiredError(f"this account never had a license for {name}", f"viz-node license {name}")
            offer = held[-1]
        if not offer.is_open:
            raise RefusedError(f"{name} is not sold any more at these terms", f"viz-node license {name}")
        return offer

    async def is_ordered(self, offer: Offer) -> bool:
        """Whether paying for it is an order in escrow: the first time, if the offer is delivered so."""
        expiry = await asyncio.to_thread(self._trade.market.license_expiry, offer.offer_id, self._trade.keys.account)
        return offer.is_escrowed and expiry == 0

    def _held(self, adapter_number: int) -> list[Offer]:
        market, account = self._trade.market, self._trade.keys.account
        held = [(market.license_expiry(offer.offer_id, account), offer) for offer in market.offers_of(adapter_number)]
        by_end = sorted((item for item in held if item[0]), key=lambda item: (item[1].is_open, item[0]))
        return [offer for _, offer in by_end]

    async def already(self, listing: Listing, offer: Offer) -> dict[str, Any] | None:
        """The result if there is nothing left to buy."""
        is_perpetual = listing.manifest.license.kind == "perpetual"
        if is_perpetual and await self._trade.catalogue.is_licensed(listing.adapter_number, self._trade.keys.account):
            return {"adapter_id": listing.adapter_id, "paid": "0.00", "already_licensed": True}
        if offer.is_escrowed and await self._orders.is_awaited(listing.manifest.key_hash):
            return {"adapter_id": listing.adapter_id, "paid": "0.00", "already_ordered": True}
        return None

    def _purchase(self, listing: Listing, offer: Offer, order_ref: bytes, is_order: bool) -> Callable[[], Call]:
        market, account = self._trade.market, self._trade.keys.account
        if is_order:
            order = self._orders.new_order(listing, offer, order_ref)
            return lambda: market.prepare_order(order)
        item = self._trade.item_of(listing.manifest, offer)
        return lambda: market.prepare_buy(item, account, offer.price, order_ref)

    async def fetch(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: download, unseal and check a licensed adapter, and put it into the library."""
        trade, asked = self._trade, str(job.order["adapter"])
        listing = await trade.catalogue.listing(asked)
        manifest = listing.manifest
        existing = adapter_named(trade.store, listing.adapter_id)
        if existing is not None:
            return {"name": existing.name, "adapter_id": listing.adapter_id, "directory": existing.directory}
        key = await self._orders.collect(manifest.key_hash)
        is_licensed = await trade.catalogue.is_licensed(listing.adapter_number, trade.keys.account)
        if not is_licensed and not await self._subscriptions.covers(listing.adapter_number):
            if manifest.license.kind == "metered":
                raise paid_by_use(manifest.name)
            raise LicenseRequiredError(
                f"this node holds no license for {manifest.name}",
                f"viz-node license {manifest.name} --max-price {format_amount(listing.offer.price)}",
            )
        name = self._free_name(manifest.name, listing.adapter_id)
        sealed = self._directory / "bundles" / name
        sealed.mkdir(parents=True, exist_ok=True, mode=0o700)
        await self._download(manifest, sealed, report)
        key = key or await self._request_key(listing)
        directory = await asyncio.to_thread(self._unseal, manifest, sealed, key, name)
        # Shared before it is recorded: a fetch that a crash ends here runs again.
        for entry in manifest.files:
            await trade.network.share(sealed / f"{entry.name}.sealed")
            await trade.network.provide(entry.blob_id)
        trade.store.save_adapter(self._record(listing, name, directory, key))
        return {"name": name, "adapter_id": listing.adapter_id, "directory": str(directory)}

    async def _download(self, manifest: AdapterManifest, sealed: Path, report: Report) -> None:
        total, before = sum(entry.sealed_size_bytes for entry in manifest.files), 0
        for entry in manifest.files:
            destination = sealed / f"{entry.name}.sealed"
            # A file that is there may be left from an adapter of the same name.
            if not destination.exists() or await asyncio.to_thread(self._blob_id_of, destination) != entry.blob_id:
                destination.unlink(missing_ok=True)
                providers = await self._trade.network.find_providers(entry.blob_id)
                peers = list(dict.fromkeys([manifest.peer_id, *providers]))
                done = before
                await self._trade.network.fetch(
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
            account=self._trade.keys.account,
            delivery_key=self._trade.sealing.delivery_public().hex(),
            peer_id=self._trade.keys.peer_id,
            expires=self._trade.now() + _KEY_SECONDS,
        )
        signature = await asyncio.to_thread(self._trade.sealing.sign_as_account, request.text())
        body = dict(vars(request)) | {"signature": signature}
        reply = await self._trade.network.request(listing.manifest.peer_id, KEY_METHOD, json.dumps(body).encode())
        try:
            wrapped = bytes.fromhex(parse_json(reply)["wrapped"])
        except (ValueError, KeyError, TypeError) as error:
            raise VerificationError("the holder's answer to the key request is malformed") from error
        return self._trade.sealing.unwrap_key(wrapped, request.text().encode())

    def _unseal(self, manifest: AdapterManifest, sealed: Path, key: bytes, name: str) -> Path:
        directory = self._directory / "adapters" / name
        partial = self._directory / "adapters" / f".{name}.partial"
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True, mode=0o700)
        for entry in manifest.files:
            plain = partial / entry.name
            self._trade.sealing.open_sealed_file(sealed / f"{entry.name}.sealed", plain, key)
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
            sealed_key=self._trade.sealing.seal(key).hex(),
            manifest=(self._trade.store.get_setting(f"manifest:{listing.adapter_id}") or "").encode(),
            created=self._trade.now(),
        )

    def _free_name(self, name: str, adapter_id: str) -> str:
        """The listing's name, made fit for a folder, unless something of this node has it or is about to."""
        safe = "".join(c if c.isalnum() or c in "-_." else "-" for c in name).lstrip(".")[:48] or "adapter"
        unfinished = [job for job in self._trade.store.list_jobs() if job.state is not JobState.DONE]
        is_taken = any(job.kind in {"train", "federate"} and job.order["name"] == safe for job in unfinished)
        is_taken = is_taken or adapter_named(self._trade.store, safe) is not None
        return f"{safe}-{adapter_id[:8]}" if is_taken else safe


def paid_by_use(name: str) -> RefusedError:
    """An adapter of this kind stays on its seller's node: it is neither licensed nor fetched."""
    return RefusedError(f"{name} is paid by use, on its seller's node", f"viz-node channel open {name} --deposit 2.00")


def require_price(name: str, offer: Offer, limit: int) -> None:
    """Raises: PriceAboveLimitError."""
    if offer.price > limit:
        raise PriceAboveLimitError(
            f"{name} costs {format_amount(offer.price)}, more than {format_amount(limit)}",
            f"viz-node license {name} --max-price {format_amount(offer.price)}",
        )


def _result(detail: dict[str, Any], tx_hash: str) -> dict[str, Any]:
    paid = {"adapter_id": detail["adapter"], "paid": format_amount(detail["price"]), "tx_hash": tx_hash}
    return paid | ({"state": "ordered"} if detail["kind"] == "order" else {})
