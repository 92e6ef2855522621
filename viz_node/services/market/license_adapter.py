"""Buy a license: pay once, directly or into escrow."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

from viz_node.domain.answer import UNSET, UnsetType
from viz_node.domain.decide_purchase import ALREADY_LICENSED, AskedPurchase
from viz_node.domain.decision import NothingToDo
from viz_node.domain.ids import Account, AdapterId, TokenAmount, format_amount
from viz_node.domain.job import Job, JobStep
from viz_node.domain.offer import Offer
from viz_node.domain.orders import LicenseOrder
from viz_node.domain.purposes import BuyLicense, purpose_as
from viz_node.domain.transaction import Call
from viz_node.ports.market import Purchases
from viz_node.services.market.choose_offer import OfferChoice
from viz_node.services.market.listings import Listing, Listings, item_of
from viz_node.services.market.order_key import KeyOrders
from viz_node.services.money.pay_price import Payments
from viz_node.services.part import Report


@dataclass(frozen=True)
class BoughtLicense:
    """What a purchase came to; `paid` in tokens. With an order the license begins when the key is delivered."""

    adapter_id: AdapterId
    paid: str
    tx_hash: str | UnsetType = UNSET
    state: str | UnsetType = UNSET
    already_licensed: bool | UnsetType = UNSET
    already_ordered: bool | UnsetType = UNSET


class Buyer:
    """The licensee's side of the market."""

    def __init__(
        self,
        market: Purchases,
        payments: Payments,
        listings: Listings,
        choice: OfferChoice,
        orders: KeyOrders,
        account: Account,
    ) -> None:
        self._market = market
        self._payments = payments
        self._listings = listings
        self._choice = choice
        self._orders = orders
        self._account = account

    async def license(self, job: Job[LicenseOrder], report: Report) -> BoughtLicense:
        """Job: pay for a license unless the account holds one; repeated after a crash it pays nothing twice."""
        order_id, order = f"buy:{job.job_id}", job.order
        paid = await self._payments.finish(order_id)
        if paid is not None:  # signed before a crash: what the market offers by now does not matter any more
            return _result(purpose_as(paid.purpose, BuyLicense), paid.tx_hash)
        listing = await self._listings.listing(order.adapter)
        decided = await self._choice.decide(listing, AskedPurchase(order.max_price, order.renew))
        if isinstance(decided, NothingToDo):
            done = BoughtLicense(AdapterId(listing.adapter_id), "0.00")
            is_licensed = decided == ALREADY_LICENSED
            return replace(done, already_licensed=True) if is_licensed else replace(done, already_ordered=True)
        order_ref = hashlib.sha256(job.job_id.encode()).digest()
        # The price that was shown and approved, not the limit: it may have risen since.
        call = self._purchase(listing, decided.offer, order_ref, decided.is_order)
        kind = "order" if decided.is_order else "buy"
        purpose = BuyLicense(kind, job.job_id, adapter=listing.adapter_id, price=decided.price)
        report(JobStep("buy", 1, 1))
        return _result(purpose, await self._payments.execute(order_id, decided.price, call, purpose))

    def _purchase(self, listing: Listing, offer: Offer, order_ref: bytes, is_order: bool) -> Callable[[], Call]:
        market, account = self._market, self._account
        if is_order:
            order = self._orders.new_order(listing, offer, order_ref)
            return lambda: market.prepare_order(order)
        item = item_of(market, listing.manifest, offer)
        return lambda: market.prepare_buy(item, account, offer.price, order_ref)


def _result(purpose: BuyLicense, tx_hash: str) -> BoughtLicense:
    state = "ordered" if purpose.kind == "order" else UNSET
    return BoughtLicense(AdapterId(purpose.adapter), format_amount(TokenAmount(purpose.price)), tx_hash, state)
