"""What offering an adapter costs and means, before anything is sealed; nothing is signed or sent here."""

import asyncio
import secrets

from viz_node.domain.decision import NothingToDo
from viz_node.domain.ids import Account, format_coin, format_range, format_span
from viz_node.domain.manifest import LicenseTerms
from viz_node.domain.offer import OfferTerms
from viz_node.domain.permissions import Permissions
from viz_node.domain.plan import PurchaseStep
from viz_node.domain.royalty import with_platform
from viz_node.domain.terms import PublicationTerms
from viz_node.ports.market import Publications
from viz_node.ports.money import Quotes
from viz_node.services.market.listings import Listings
from viz_node.services.market.order_publication import PublicationOrders, shared_split
from viz_node.services.market.plan_purchase import parents_in, parts_of


class PublicationPlans:
    """Rows for people to agree to; `paid_to` says who gets how much of each sale."""

    def __init__(
        self, orders: PublicationOrders, market: Publications, quotes: Quotes, listings: Listings, account: Account
    ) -> None:
        self._orders = orders
        self._market = market
        self._quotes = quotes
        self._listings = listings
        self._account = account

    async def publish(self, adapter: str, terms: PublicationTerms) -> list[PurchaseStep]:
        """What publishing at these checked terms costs; nothing if it is published so already.

        Raises: the refusal's error, TransactionRevertedError, ChainUnavailableError, InvalidSplitError.
        """
        record = self._orders.find(adapter)
        if isinstance(self._orders.decide(record, terms), NothingToDo):
            return []
        facts = await asyncio.to_thread(self._market.facts)
        split, offer = with_platform(shared_split(terms), facts.platform, facts.platform_fee), terms.offer()
        digest = LicenseTerms(terms.kind, offer.duration_seconds, terms.permissions).digest()
        # The manifest's digest and the key come with the sealing; any others of their length cost the same.
        digests = secrets.token_bytes(32), bytes.fromhex(record.base_digest), digest
        call = self._market.prepare_publish(digests, split, offer, secrets.token_bytes(32))
        price = format_range(offer.price, offer.ceiling if offer.max_rise else offer.price)
        payers = await asyncio.to_thread(self._listings.payers_of, parents_in(split.shares))
        gas = format_coin(await self._quotes.quote_wei(call))
        consequence = f"name, terms and split are public permanently; sold at {price} until withdrawn"
        paid_to = parts_of(offer.price, split.shares, self._account, facts, payers)
        return [
            PurchaseStep(f"publish {record.name}", "", gas, consequence, paid_to),
            PurchaseStep("license", "", "", _license_in_words(terms.kind, offer)),
            PurchaseStep("terms", "", "", _terms_in_words(terms.permissions)),
        ]


def _license_in_words(kind: str, offer: OfferTerms) -> str:
    days = f", {format_span(offer.duration_seconds)} per payment" if offer.duration_seconds else ""
    way = "through a channel" if offer.is_metered else "held in escrow" if offer.is_escrowed else "paid out at once"
    return f"{kind}{days}; payments {way}"


def _terms_in_words(permissions: Permissions) -> str:
    said = {name: text for name, text in permissions.sentences().items() if text not in ("", "-")}
    return "; ".join(f"{name} {text}" for name, text in said.items())
