"""Licenses: who holds one until when, and what was paid for them."""

from collections.abc import Sequence

from viz_node.chain.contract.items import item_of, number_of
from viz_node.chain.contract.ledger import EntryKind, LedgerEntry
from viz_node.chain.gateway.catalogue import CatalogueGateway
from viz_node.chain.gateway.royalties import SPLIT_BITS
from viz_node.domain.ids import Account, TokenAmount, format_tokens
from viz_node.domain.market import Balances
from viz_node.domain.offer import Grant, Offer, Sale, Sold
from viz_node.domain.transaction import Call

_GRANT_KINDS = (EntryKind.SOLD, EntryKind.DELIVERED)
_SALE_KINDS = (EntryKind.OFFER_CREATED, *_GRANT_KINDS, EntryKind.SETTLED)


class SalesGateway(CatalogueGateway):
    """Who holds what, and the calls of those who buy it directly."""

    def license_expiry(self, offer_id: int, account: str) -> int:
        """When the license ends: 0 = never bought, `ledger.PERPETUAL` = never ends, else seconds since 1970."""
        return int(self._view("licenses", offer_id, account)[0])

    def balances(self, account: str) -> Balances:
        """Balances of the account."""
        ((token,),) = self._views([("balanceOf", (account,))], self._token)
        return Balances(TokenAmount(token), self._coin(account))

    def sales(self) -> list[Sale]:
        """Payments for licenses that nobody can take back: direct ones, and those settled from escrow, oldest first."""
        adapter_by_offer: dict[int, int] = {}
        delivered: dict[int, LedgerEntry] = {}
        rows: list[tuple[LedgerEntry, int, Account, int]] = []
        for entry in self._entries(_SALE_KINDS):
            if entry.kind == EntryKind.OFFER_CREATED:
                adapter_by_offer[entry.key] = entry.a
            elif entry.kind == EntryKind.DELIVERED:
                delivered[entry.key] = entry
            elif entry.kind == EntryKind.SOLD:
                rows.append((entry, entry.key, entry.who, entry.c))
            elif entry.key in delivered:
                rows.append((entry, entry.c, delivered[entry.key].who, delivered[entry.key].b))
        return [
            Sale(
                offer_id,
                adapter_by_offer.get(offer_id, 0),
                entry.b % (1 << SPLIT_BITS),
                holder,
                TokenAmount(entry.a),
                expiry,
                entry.d,
                entry.tx_hash,
                entry.block_number,
            )
            for entry, offer_id, holder, expiry in rows
        ]

    def grants_to(self, holder: str) -> list[Grant]:
        """Every license that the account was ever granted, oldest first."""
        return self._grants(self._entries(_GRANT_KINDS, who=holder))

    def grants_by(self, offer_ids: Sequence[int]) -> list[Grant]:
        """Every license that was ever granted by these offers, oldest first."""
        return self._grants([entry for entry in self._entries(_GRANT_KINDS) if _granted_by(entry) in offer_ids])

    def granted_in(self, offer_id: int, account: str) -> int | None:
        """The block of the account's first license by this offer, bought or delivered; None if it never had one."""
        granted = self._entries(_GRANT_KINDS, who=account)
        return next((entry.block_number for entry in granted if _granted_by(entry) == offer_id), None)

    def offers_by(self, owner: str) -> list[int]:
        """The numbers of all offers of the account's adapters."""
        return [entry.key for entry in self._entries(EntryKind.OFFER_CREATED, who=owner)]

    def sold_by(self, offer_ids: Sequence[int]) -> dict[int, Sold]:
        """What each of these offers sells."""
        facts = self._views([(name, (offer_id,)) for offer_id in offer_ids for name in ("offers", "adapterOfOffer")])
        places = [(terms[2], number) for terms, (number,) in zip(facts[::2], facts[1::2], strict=True)]
        numbers = sorted({number for _, number in places})
        adapters = self._views([("adapters", (number,)) for number in numbers])
        ids = {number: row[3].hex() for number, row in zip(numbers, adapters, strict=True)}
        return {
            offer_id: Sold(number, ids[number], duration)
            for offer_id, (duration, number) in zip(offer_ids, places, strict=True)
        }

    def _grants(self, granted: Sequence[LedgerEntry]) -> list[Grant]:
        price_by_order: dict[int, int] = {}
        for entry in self._entries((EntryKind.ORDERED, EntryKind.DISPUTED)):
            price_by_order[entry.key] = entry.a if entry.kind == EntryKind.ORDERED else 0
        paid: dict[tuple[int, Account], int] = {}
        for entry in granted:
            place = _granted_by(entry), entry.who
            price = entry.a if entry.kind == EntryKind.SOLD else price_by_order.get(entry.key, 0)
            paid[place] = paid.get(place, 0) + price
        ends = self._views([("licenses", place) for place in paid])
        return [
            Grant(offer_id, holder, int(expiry), TokenAmount(amount))
            for ((offer_id, holder), amount), (expiry,) in zip(paid.items(), ends, strict=True)
        ]

    def item_of(self, offer: Offer, owner: str, manifest: bytes, key_hash: bytes) -> int:
        """See `viz_node.chain.contract.items.item_of`."""
        return item_of(offer, owner, manifest, key_hash)

    def prepare_buy(self, item: int, holder: str, max_price: TokenAmount, order_ref: bytes) -> Call:
        """Pay for a license of `holder`, out of the sender's allowance."""
        description = f"buy offer {number_of(item)} for at most {format_tokens(max_price)}"
        return self._to_market(description, "buy", item, holder, max_price, order_ref)


def _granted_by(entry: LedgerEntry) -> int:
    """The offer of a sale or of a delivery."""
    return entry.key if entry.kind == EntryKind.SOLD else entry.a
