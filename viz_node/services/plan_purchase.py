"""What a purchase costs and means, before it is ordered; nothing is signed or sent here."""

import asyncio
from typing import Any

from viz_node.domain.ids import TokenAmount, format_amount, format_coin
from viz_node.domain.terms import DAY_SECONDS
from viz_node.ports import Offer
from viz_node.services.license_adapter import Buyer, require_price
from viz_node.services.trade import Trade

# An order takes 97 439 gas (contracts/snapshots/Parts.json), an approval half; before it no order can be simulated.
PURCHASE_PER_APPROVAL = 3


class PurchasePlans:
    """Rows `what`, `amount`, `gas`, `consequence` for people to agree to."""

    def __init__(self, trade: Trade, buyer: Buyer) -> None:
        self._trade = trade
        self._buyer = buyer

    async def license(self, adapter: str, limit: int, is_renewal: bool) -> list[dict[str, Any]]:
        """The steps of buying or extending a license; none if it is held already. Raises: as the job."""
        listing = await self._trade.catalogue.listing(adapter)
        offer, name = await self._buyer.choose(listing, is_renewal), listing.manifest.name
        if await self._buyer.already(listing, offer) is not None:
            return []
        require_price(name, offer, limit)
        is_order = await self._buyer.is_ordered(offer)
        market, account, price = self._trade.market, self._trade.keys.account, TokenAmount(offer.price)
        approval = await self._trade.treasury.quote_wei(market.prepare_approve(price))
        buy = _row(
            f"{'order' if is_order else 'buy'} {name}", PURCHASE_PER_APPROVAL * approval, _given(offer, is_order)
        )
        buy["amount"] = format_amount(price)
        if await asyncio.to_thread(market.allowance, account) >= price:
            return [buy]
        return [_row("allow the market to take the price", approval, "nothing is paid yet"), buy]


def _row(what: str, wei: int, consequence: str) -> dict[str, Any]:
    return {"what": what, "amount": "", "gas": format_coin(wei), "consequence": consequence}


def _given(offer: Offer, is_order: bool) -> str:
    days = offer.duration_seconds // DAY_SECONDS
    given = f"a license for {days} days" if days else "a license for ever"
    return f"{given}, once the key is delivered; else the money comes back" if is_order else given
