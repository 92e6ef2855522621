"""Offer an adapter: seal its files, sign the manifest, register it on the chain and announce it."""

import asyncio
from typing import Any

from viz_node.domain.ids import format_amount
from viz_node.domain.job import Job
from viz_node.domain.manifest import (
    AdapterManifest,
)
from viz_node.domain.offer import OfferTerms
from viz_node.domain.transaction import Call
from viz_node.ports.market import Publications
from viz_node.ports.money import Spending
from viz_node.ports.state import Outbox
from viz_node.services.library.look_up import registration_of
from viz_node.services.market.order_publication import PublicationOrders, offer_of
from viz_node.services.market.seal_bundle import Bundles
from viz_node.services.market.serve_adapters import Storefront
from viz_node.services.part import Report


class Publisher:
    """The seller's side of the market."""

    def __init__(
        self,
        outbox: Outbox,
        market: Publications,
        treasury: Spending,
        orders: PublicationOrders,
        bundles: Bundles,
        storefront: Storefront,
    ) -> None:
        self._outbox = outbox
        self._market = market
        self._treasury = treasury
        self._orders = orders
        self._bundles = bundles
        self._storefront = storefront

    async def publish(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: seal, sign, register and announce; every step can be repeated."""
        record = self._orders.own(str(job.order["adapter"]))
        terms = dict(job.order["terms"])
        await self._orders.require_known(record.name)
        self._orders.check_same_terms(record, terms)
        report({"phase": "seal", "step": 1, "steps": 3})
        if registration_of(self._outbox, record) is None:
            record = await asyncio.to_thread(self._bundles.prepare, record, terms)
        manifest = self._storefront.manifest_of(record)
        report({"phase": "register", "step": 2, "steps": 3})
        tx_hash = await self._treasury.execute(
            f"publish:{manifest.adapter_id()}",
            lambda: self._prepare_call(manifest, offer_of(terms)),
            {"kind": "publish", "adapter": record.name, "terms": terms, "job": job.job_id},
        )
        report({"phase": "announce", "step": 3, "steps": 3})
        await self._storefront.share(record)
        await self._storefront.announce(record)
        return {"adapter_id": manifest.adapter_id(), "tx_hash": tx_hash, "price": format_amount(terms["price"])}

    def _prepare_call(self, manifest: AdapterManifest, terms: OfferTerms) -> Call:
        digests = (manifest.adapter_id(), manifest.base_model.digest, manifest.license.digest().hex())
        first, second, third = (bytes.fromhex(digest) for digest in digests)
        key_hash = bytes.fromhex(manifest.key_hash)
        return self._market.prepare_publish((first, second, third), manifest.split, terms, key_hash)
