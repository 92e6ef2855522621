"""What was paid for offers, and what the rule of each price says it should have been, from the ledger alone.

The entries are those that the endpoint tells; that none is missing or altered is for the audit to prove. Its replay and
`domain/pricing.py` derive the prices here as there.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace

from viz_node.chain.contract.items import number_of
from viz_node.chain.contract.ledger import EntryKind, LedgerEntry
from viz_node.chain.gateway.reader import MarketReader
from viz_node.chain.replay import Companions, LedgerReplay, MarketTerms
from viz_node.chain.replay.book import account_of
from viz_node.chain.replay.catalogue import OfferState
from viz_node.domain.ids import TokenAmount
from viz_node.domain.pricing import PricedSale, PricePath, PriceStep, quote
from viz_node.errors import VerificationError

_OFFER_FIELDS = {
    EntryKind.OFFER_CREATED: "key",
    EntryKind.SOLD: "key",
    EntryKind.ORDERED: "b",
    EntryKind.DELIVERED: "a",
    EntryKind.DISPUTED: "b",
    EntryKind.SETTLED: "c",
    EntryKind.REFUNDED: "b",
}
"""Where an entry that may move a price names its offer, in the low bits."""


class PricesGateway(MarketReader):
    """Prices, derived again."""

    def price_history(self, offer_ids: Sequence[int]) -> tuple[list[PricedSale], list[PricePath]]:
        """Every payment for these offers and the path of each price, both in the order of the ledger."""
        entries = [entry for entry in self._entries(_OFFER_FIELDS) if _offer_of(entry) in offer_ids]
        times = self._times({entry.block_number for entry in entries})
        terms = MarketTerms(platform_fee=self.facts().platform_fee)
        replay = LedgerReplay(self.deployment.market, terms, Companions(), times)
        offers, sales, steps = replay.catalogue.offers, [], defaultdict(list)
        for entry in entries:
            offer_id, time = _offer_of(entry), times[entry.block_number]
            if entry.kind in (EntryKind.SOLD, EntryKind.ORDERED) and offer_id in offers:
                sales.append(_sale(entry, offers[offer_id], time))
            replay.apply(entry)
            if offer_id not in offers:
                raise VerificationError(f"the chain's endpoint hides how offer {offer_id} began", "use another RPC")
            steps[offer_id].append(PriceStep(time, offers[offer_id].price))
        states = {number: str(order.status) for number, order in replay.escrow.orders.items()}
        return [replace(sale, outcome=states.get(sale.order, sale.outcome)) for sale in sales], [
            PricePath(number, TokenAmount(offers[number].floor), offers[number].rule, tuple(taken))
            for number, taken in steps.items()
        ]


def _offer_of(entry: LedgerEntry) -> int:
    return number_of(getattr(entry, _OFFER_FIELDS[EntryKind(entry.kind)]))


def _sale(entry: LedgerEntry, offer: OfferState, time: int) -> PricedSale:
    is_order = entry.kind == EntryKind.ORDERED
    derived = TokenAmount(offer.floor) if offer.rule is None else quote(offer.rule, offer.price, time)
    return PricedSale(
        sequence=entry.sequence,
        time=time,
        offer_id=offer.offer_id,
        holder=account_of(entry.c) if is_order else entry.who,
        paid=TokenAmount(entry.a),
        derived=derived,
        order=entry.key if is_order else 0,
        outcome="ordered" if is_order else "sold",
        tx_hash=entry.tx_hash,
    )
