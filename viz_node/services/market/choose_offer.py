"""What a purchase of this account would be as the chain stands, for its plan and its job; sends nothing."""

import asyncio

from viz_node.domain.decide_purchase import AskedPurchase, Buying, Holding, PurchaseFacts, decide_purchase
from viz_node.domain.decision import NothingToDo, Refusal
from viz_node.domain.ids import Account
from viz_node.domain.order import is_awaited
from viz_node.ports.market import Purchases
from viz_node.services.market.listings import Listing


class OfferChoice:
    """Reads what `decide_purchase` needs."""

    def __init__(self, market: Purchases, account: Account) -> None:
        self._market, self._account = market, account

    async def decide(self, listing: Listing, asked: AskedPurchase) -> Buying | NothingToDo:
        """What is to be paid. Raises: the refusal's error, ChainUnavailableError."""
        decided = decide_purchase(await asyncio.to_thread(self._facts, listing), asked)
        if isinstance(decided, Refusal):
            raise decided.error()
        return decided

    def _facts(self, listing: Listing) -> PurchaseFacts:
        market, account, manifest = self._market, self._account, listing.manifest
        offers = market.offers_of(listing.adapter_number)
        return PurchaseFacts(
            manifest.name,
            manifest.license.kind,
            listing.offer,
            tuple(Holding(offer, market.license_expiry(offer.offer_id, account)) for offer in offers),
            listing.offer.is_escrowed and is_awaited(market.orders_paid_by(account), manifest.key_hash),
            market.block_time(),
        )
