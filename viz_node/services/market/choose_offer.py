"""Which offer to pay for, and whether there is anything to pay, for plan and job of a purchase; sends nothing."""

import asyncio
from typing import Any

from viz_node.domain.ids import Account, format_amount, format_tokens
from viz_node.domain.offer import Offer
from viz_node.domain.order import is_awaited
from viz_node.errors import LicenseRequiredError, PriceAboveLimitError, RefusedError, UsageError
from viz_node.ports.market import Purchases
from viz_node.services.market.listings import Catalogue, Listing


class OfferChoice:
    """What a purchase of this account would be, as the chain stands."""

    def __init__(self, market: Purchases, catalogue: Catalogue, account: Account) -> None:
        self._market = market
        self._catalogue = catalogue
        self._account = account

    async def choose(self, listing: Listing, is_renewal: bool) -> Offer:
        """The offer to pay for; of a renewal the one that is held. Raises: RefusedError, UsageError, NotFoundError."""
        name, kind, offer = listing.manifest.name, listing.manifest.license.kind, listing.offer
        if kind == "metered":
            raise paid_by_use(name)
        if is_renewal:
            held = await asyncio.to_thread(self._held, listing.adapter_number)
            if not held:
                raise LicenseRequiredError(f"this account never had a license for {name}", how_to_buy(listing))
            if kind == "perpetual":
                raise UsageError(f"a license for {name} never ends", f"viz-node fetch {name}")
            offer = held[-1]
        if not offer.is_open:
            raise await self._withdrawn(listing)
        return offer

    async def _withdrawn(self, listing: Listing) -> RefusedError:
        """Why there is nothing to pay for, and what is left to this account."""
        name = listing.manifest.name
        if listing.offer.is_open:
            return RefusedError(f"the offer of {name} that this account holds is withdrawn", how_to_buy(listing))
        if await self._catalogue.is_licensed(listing.adapter_number, self._account):
            told = f"{name} is withdrawn from sale; the license that this account holds stays until it ends"
            return RefusedError(told, f"viz-node fetch {name}")
        return RefusedError(f"{name} is withdrawn from sale", "viz-node search shows what is sold")

    async def is_ordered(self, offer: Offer) -> bool:
        """Whether paying for it is an order in escrow: the first time, if the offer is delivered so."""
        expiry = await asyncio.to_thread(self._market.license_expiry, offer.offer_id, self._account)
        return offer.is_escrowed and expiry == 0

    def _held(self, adapter_number: int) -> list[Offer]:
        market, account = self._market, self._account
        held = [(market.license_expiry(offer.offer_id, account), offer) for offer in market.offers_of(adapter_number)]
        by_end = sorted((item for item in held if item[0]), key=lambda item: (item[1].is_open, item[0]))
        return [offer for _, offer in by_end]

    async def already(self, listing: Listing, is_renewal: bool) -> dict[str, Any] | None:
        """The result if there is nothing left to buy, whether or not it is still sold."""
        is_perpetual = listing.manifest.license.kind == "perpetual" and not is_renewal
        if is_perpetual and await self._catalogue.is_licensed(listing.adapter_number, self._account):
            return {"adapter_id": listing.adapter_id, "paid": "0.00", "already_licensed": True}
        if listing.offer.is_escrowed and await self._is_awaited(listing.manifest.key_hash):
            return {"adapter_id": listing.adapter_id, "paid": "0.00", "already_ordered": True}
        return None

    async def _is_awaited(self, key_hash: str) -> bool:
        return is_awaited(await asyncio.to_thread(self._market.orders_paid_by, self._account), key_hash)


def paid_by_use(name: str) -> RefusedError:
    """An adapter of this kind stays on its seller's node: it is neither licensed nor fetched."""
    return RefusedError(f"{name} is paid by use, on its seller's node", f"viz-node channel open {name} --deposit 2.00")


def how_to_buy(listing: Listing) -> str:
    """The command that buys the license, while it is sold."""
    if not listing.offer.is_open:
        return f"{listing.manifest.name} is withdrawn from sale; viz-node search shows what is sold"
    return f"viz-node license {listing.manifest.name} --max-price {format_amount(listing.offer.price)}"


def require_price(name: str, offer: Offer, limit: int, is_renewal: bool = False) -> None:
    """Raises: PriceAboveLimitError."""
    if offer.price > limit:
        raise PriceAboveLimitError(
            f"{name} costs {format_tokens(offer.price)}, more than {format_tokens(limit)}",
            f"viz-node license {'renew ' if is_renewal else ''}{name} --max-price {format_amount(offer.price)}",
        )
