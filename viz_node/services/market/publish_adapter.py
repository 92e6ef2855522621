"""Offer an adapter: seal its files, sign the manifest, register it on the chain and announce it."""

import asyncio
from dataclasses import dataclass

from viz_node.domain.ids import AdapterId, format_amount
from viz_node.domain.job import Job, JobStep
from viz_node.domain.manifest import (
    AdapterManifest,
)
from viz_node.domain.offer import OfferTerms
from viz_node.domain.orders import PublishOrder
from viz_node.domain.purposes import PublishAdapter
from viz_node.domain.transaction import Call
from viz_node.ports.market import Publications
from viz_node.ports.money import Spending
from viz_node.services.market.order_publication import PublicationOrders
from viz_node.services.market.seal_bundle import Bundles
from viz_node.services.market.serve_adapters import Storefront
from viz_node.services.part import Report


@dataclass(frozen=True)
class PublishedAdapter:
    """A new adapter on the market, its transaction, and its price in tokens."""

    adapter_id: AdapterId
    tx_hash: str
    price: str


class Publisher:
    """The seller's side of the market."""

    def __init__(
        self,
        market: Publications,
        treasury: Spending,
        orders: PublicationOrders,
        bundles: Bundles,
        storefront: Storefront,
    ) -> None:
        self._market = market
        self._treasury = treasury
        self._orders = orders
        self._bundles = bundles
        self._storefront = storefront

    async def publish(self, job: Job[PublishOrder], report: Report) -> PublishedAdapter:
        """Job: seal, sign, register and announce; every step can be repeated."""
        record, terms = self._orders.find(job.order.adapter), job.order.terms
        await self._orders.require_known(record.name)
        self._orders.decide(record, terms)
        report(JobStep("seal", 1, 3))
        if not self._orders.is_begun(record):
            record = await asyncio.to_thread(self._bundles.prepare, record, terms)
        manifest = self._storefront.manifest_of(record)
        report(JobStep("register", 2, 3))
        tx_hash = await self._treasury.execute(
            f"publish:{manifest.adapter_id()}",
            lambda: self._prepare_call(manifest, terms.offer()),
            PublishAdapter("publish", job.job_id, terms=terms),
        )
        report(JobStep("announce", 3, 3))
        await self._storefront.share(record)
        await self._storefront.announce(record)
        return PublishedAdapter(manifest.adapter_id(), tx_hash, format_amount(terms.price))

    def _prepare_call(self, manifest: AdapterManifest, terms: OfferTerms) -> Call:
        digests = (manifest.adapter_id(), manifest.base_model.digest, manifest.license.digest().hex())
        first, second, third = (bytes.fromhex(digest) for digest in digests)
        key_hash = bytes.fromhex(manifest.key_hash)
        return self._market.prepare_publish((first, second, third), manifest.split, terms, key_hash)
