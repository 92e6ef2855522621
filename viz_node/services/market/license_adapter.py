"""Buy a license: pay once, directly or into escrow."""

import hashlib
from collections.abc import Callable
from typing import Any

from viz_node.domain.ids import Account, TokenAmount, format_amount
from viz_node.domain.job import Job
from viz_node.domain.offer import Offer
from viz_node.domain.transaction import Call
from viz_node.ports.market import Purchases
from viz_node.services.market.choose_offer import OfferChoice, require_price
from viz_node.services.market.listings import Catalogue, Listing, item_of
from viz_node.services.market.order_key import KeyOrders
from viz_node.services.money.pay_price import Payments
from viz_node.services.part import Report


class Buyer:
    """The licensee's side of the market."""

    def __init__(
        self,
        market: Purchases,
        payments: Payments,
        catalogue: Catalogue,
        choice: OfferChoice,
        orders: KeyOrders,
        account: Account,
    ) -> None:
        self._market = market
        self._payments = payments
        self._catalogue = catalogue
        self._choice = choice
        self._orders = orders
        self._account = account

    async def license(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: pay for a license unless the account holds one; repeated after a crash it pays nothing twice."""
        order_id, is_renewal = f"buy:{job.job_id}", bool(job.order.get("renew"))
        paid = await self._payments.finish(order_id)
        if paid is not None:  # signed before a crash: what the market offers by now does not matter any more
            return _result(paid.detail, paid.tx_hash)
        listing = await self._catalogue.listing(str(job.order["adapter"]))
        done = await self._choice.already(listing, is_renewal)
        if done is not None:
            return done
        offer = await self._choice.choose(listing, is_renewal)
        require_price(listing.manifest.name, offer, int(job.order["max_price"]), is_renewal)
        order_ref = hashlib.sha256(job.job_id.encode()).digest()
        # The price that was shown and approved, not the limit: it may have risen since.
        is_order = await self._choice.is_ordered(offer)
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

    def _purchase(self, listing: Listing, offer: Offer, order_ref: bytes, is_order: bool) -> Callable[[], Call]:
        market, account = self._market, self._account
        if is_order:
            order = self._orders.new_order(listing, offer, order_ref)
            return lambda: market.prepare_order(order)
        item = item_of(market, listing.manifest, offer)
        return lambda: market.prepare_buy(item, account, offer.price, order_ref)


def _result(detail: dict[str, Any], tx_hash: str) -> dict[str, Any]:
    paid = {"adapter_id": detail["adapter"], "paid": format_amount(detail["price"]), "tx_hash": tx_hash}
    return paid | ({"state": "ordered"} if detail["kind"] == "order" else {})
