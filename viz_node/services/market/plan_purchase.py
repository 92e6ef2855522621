"""What a purchase costs and means, before it is ordered; nothing is sent here."""

import asyncio
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from viz_node.domain.decide_purchase import AskedPurchase
from viz_node.domain.decision import NothingToDo
from viz_node.domain.ids import WHOLE, Account, BasisPoints, TokenAmount, format_amount, format_coin, format_span
from viz_node.domain.market import MarketFacts
from viz_node.domain.offer import Offer
from viz_node.domain.plan import PaidPart, PurchaseStep
from viz_node.domain.purchase import NewOrder
from viz_node.domain.royalty import SPLIT_NUMBERS
from viz_node.errors import VizNodeError
from viz_node.ports.keys import KeyDelivery, Keys
from viz_node.ports.market import Purchases
from viz_node.ports.network import Requests
from viz_node.services.market.choose_offer import OfferChoice
from viz_node.services.market.listings import MANIFEST_METHOD, Listing, Listings, item_of
from viz_node.services.money.quote_payment import PaymentQuotes
from viz_node.services.money.sign_permit import MakeCall

_ANSWER_SECONDS = 5.0
"""How long a person waits to hear whether the owner's node is there."""


@dataclass(frozen=True)
class Asking:
    """Who asks peers, and by what."""

    keys: Keys
    network: Requests


class PurchasePlans:
    """What people are shown before they agree to a purchase."""

    def __init__(
        self,
        market: Purchases,
        quotes: PaymentQuotes,
        delivery: KeyDelivery,
        listings: Listings,
        choice: OfferChoice,
        asking: Asking,
    ) -> None:
        self._market = market
        self._quotes = quotes
        self._delivery = delivery
        self._listings = listings
        self._choice = choice
        self._asking = asking
        self._account = asking.keys.account

    async def license(self, adapter: str, asked: AskedPurchase) -> list[PurchaseStep]:
        """The transactions of buying or extending a license; none if it is held already.

        Raises: NotFoundError, ChainUnavailableError, InsufficientFundsError, and the refusals of `decide_purchase`.
        """
        listing = await self._listings.listing(adapter)
        name, decided = listing.manifest.name, await self._choice.decide(listing, asked)
        if isinstance(decided, NothingToDo):
            return []
        offer, is_order = decided.offer, decided.is_order
        quote = await self._quotes.quote(TokenAmount(offer.price), self._call(listing, offer, is_order))
        facts = await asyncio.to_thread(self._market.facts)
        payers = await asyncio.to_thread(self._listings.payers_of, parents_in(offer.shares))
        pay = PurchaseStep(
            f"{'order' if is_order else 'buy'} {name}",
            format_amount(offer.price),
            format_coin(quote.call_wei),
            await self._consequence(listing, offer, is_order, facts) + await self._disputable(offer),
            parts_of(offer.price, offer.shares, listing.manifest.account, facts, payers),
        )
        if not quote.approval_wei:
            return [pay]
        what, gas = "allow the market to take the price", format_coin(quote.approval_wei)
        return [PurchaseStep(what, "", gas, "nothing is paid yet"), pay]

    def _call(self, listing: Listing, offer: Offer, is_order: bool) -> MakeCall:
        """A call of the same cost as the one that would be sent; its secret is thrown away."""
        market, account, reference = self._market, self._account, secrets.token_bytes(32)
        item = item_of(self._market, listing.manifest, offer)
        if not is_order:
            return lambda: market.prepare_buy(item, account, offer.price, reference)
        delivery = self._delivery
        point = delivery.point_of(delivery.new_order_secret())
        order = NewOrder(item, account, offer.price, point, reference)
        return lambda: market.prepare_order(order)

    async def _consequence(self, listing: Listing, offer: Offer, is_order: bool, facts: MarketFacts) -> str:
        span = offer.duration_seconds
        given = f"a license for {format_span(span)}" if span else "a perpetual license"
        if is_order:
            window = format_span(facts.delivery_window_seconds)
            return f"{given}, once the key is delivered; the money comes back if that takes longer than {window}"
        state = "answers now" if await self._is_there(listing) else "does not answer now"
        return f"{given}; the money is the seller's at once, the key comes from the seller's node, which {state}"

    async def _disputable(self, offer: Offer) -> str:
        """What a dispute of the order that brought this license would take, if there can be one."""
        if not offer.is_escrowed:
            return ""
        orders = await asyncio.to_thread(self._market.orders_for, [offer.offer_id])
        holder, now = self._account, await asyncio.to_thread(self._market.block_time)
        for order in orders:
            until = order.disputable_until
            if order.terms.holder == holder and until is not None and now <= until:
                left = format_span(max(60, (until - now) // 60 * 60))
                taken = "takes back what is left of its time, and nothing of what is paid now"
                return f"; order {order.number} can be disputed for {left} more: that {taken}"
        return ""

    async def _is_there(self, listing: Listing) -> bool:
        peer_id, question = listing.manifest.peer_id, listing.adapter_id.encode()
        if peer_id == self._asking.keys.peer_id:
            return True
        try:
            await self._asking.network.request(peer_id, MANIFEST_METHOD, question, timeout_seconds=_ANSWER_SECONDS)
        except VizNodeError:
            return False
        return True


def parents_in(shares: Sequence[tuple[Account, BasisPoints]]) -> list[int]:
    """The splits among those that share: an adapter's parents are paid so."""
    return [number for number in (int(account, 16) for account, _ in shares) if number < SPLIT_NUMBERS]


def parts_of(
    price: int,
    shares: Sequence[tuple[Account, BasisPoints]],
    seller: Account,
    facts: MarketFacts,
    payers: Mapping[int, str],
) -> list[PaidPart]:
    """Who is credited how much of one payment, each part rounded down as the contract does."""
    roles = {seller: "the seller"}
    if facts.platform is not None:
        roles[facts.platform] = f"the platform: {facts.platform_fee / 100:g} %, fixed permanently"
    rows = []
    for account, share in shares:
        number = int(account, 16)
        who = f"the recipients of {payers[number]}" if number < SPLIT_NUMBERS else roles.get(account, "")
        rows.append(PaidPart(account, f"{share / 100:g} %", who, format_amount(price * share // WHOLE)))
    return rows
