"""Licenses: who holds one until when, and direct sales."""

from dataclasses import dataclass

from viz_node.chain.gateway.catalogue import CatalogueGateway
from viz_node.chain.ledger import EntryKind
from viz_node.chain.transactions import Call
from viz_node.domain.ids import Account, TokenAmount, format_amount

SPLIT_BITS = 32


@dataclass(frozen=True)
class Balances:
    """What an account has: payment token units, and the chain's own coin."""

    token: TokenAmount
    gas_wei: int


@dataclass(frozen=True)
class Sale:
    """One payment for a license by a direct purchase."""

    offer_id: int
    adapter_number: int
    split_id: int
    holder: Account
    price: TokenAmount
    expiry: int
    order_ref: bytes
    tx_hash: str
    block: int


class SalesGateway(CatalogueGateway):
    """Who holds what, and the calls of those who buy it directly."""

    def license_expiry(self, offer_id: int, account: str) -> int:
        """When the license ends: 0 = never bought, `ledger.PERPETUAL` = never ends, else seconds since 1970."""
        return int(self._view("licenses", offer_id, account)[0])

    def balances(self, account: str) -> Balances:
        """What the account has."""
        ((token,),) = self._views([("balanceOf", (account,))], self._token)
        return Balances(TokenAmount(token), self._coin(account))

    def sales(self, from_block: int | None = None) -> list[Sale]:
        """Direct sales in blocks from `from_block`, oldest first."""
        adapter_by_offer = {entry.key: entry.a for entry in self._entries(EntryKind.OFFER_CREATED)}
        return [
            Sale(
                entry.key,
                adapter_by_offer.get(entry.key, 0),
                entry.b % (1 << SPLIT_BITS),
                entry.who,
                TokenAmount(entry.a),
                entry.c,
                entry.d,
                entry.tx_hash,
                entry.block_number,
            )
            for entry in self._entries(EntryKind.SOLD, from_block=from_block)
        ]

    def prepare_buy(self, offer_id: int, holder: str, max_price: TokenAmount, order_ref: bytes) -> Call:
        """Pay for a license of `holder`, out of the sender's allowance."""
        description = f"buy offer {offer_id} for at most {format_amount(max_price)}"
        return self._to_market(description, "buy", offer_id, holder, max_price, order_ref)
