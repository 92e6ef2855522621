"""Licenses: who holds one until when, and the ways to pay for one."""

from dataclasses import dataclass
from typing import Any

from viz_node.chain.gateway.catalogue import CatalogueGateway
from viz_node.chain.ledger import EntryKind
from viz_node.chain.payments import authorization_data, permit_data, purchase_nonce, signature_parts
from viz_node.chain.transactions import Call
from viz_node.domain.ids import Account, TokenAmount, format_amount
from viz_node.domain.purchase import Purchase

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

    def allowance(self, account: str) -> TokenAmount:
        """How much the market may take from the account."""
        ((amount,),) = self._views([("allowance", (account, self.deployment.market))], self._token)
        return TokenAmount(amount)

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

    def permit_to_sign(self, account: str, amount: TokenAmount, deadline: int) -> dict[str, Any]:
        """The typed data with which `account` allows the market to take `amount` until `deadline` (ERC-2612)."""
        (nonce,), (name,) = self._views([("nonces", (account,)), ("name", ())], self._token)
        return permit_data(self.deployment, name, (account, amount, nonce, deadline))

    def payment_to_sign(self, purchase: Purchase, payer: str, valid_before: int) -> dict[str, Any]:
        """The typed data with which `payer` pays for exactly this purchase, whoever sends it (ERC-3009)."""
        ((name,),) = self._views([("name", ())], self._token)
        return authorization_data(self.deployment, name, (payer, purchase.max_price, valid_before, _nonce(purchase)))

    def prepare_approve(self, amount: TokenAmount) -> Call:
        """Let the market take up to `amount` from the sender."""
        data = self._token.call_data("approve", self.deployment.market, amount)
        return Call(self.deployment.token, data, f"allow the market to take {format_amount(amount)}")

    def prepare_buy(self, offer_id: int, holder: str, max_price: TokenAmount, order_ref: bytes) -> Call:
        """Pay for a license of `holder`, out of the sender's allowance."""
        description = f"buy offer {offer_id} for at most {format_amount(max_price)}"
        return self._to_market(description, "buy", offer_id, holder, max_price, order_ref)

    def prepare_buy_with_permit(self, purchase: Purchase, permit: dict[str, Any], signature: bytes) -> Call:
        """The same in one transaction, with a permit of the sender that `permit_to_sign` made."""
        packed = _permit_fields(permit, signature)
        return self._to_market(_described(purchase), "buyWithPermit", *_fields(purchase), packed)

    def prepare_with_permit(self, call: Call, permit: dict[str, Any], signature: bytes) -> Call:
        """Any call of the market that pays out of the sender's allowance, together with a permit of the sender."""
        packed = _permit_fields(permit, signature)
        return self._to_market(call.description, "withPermit", packed, call.data)

    def prepare_buy_with_authorization(self, purchase: Purchase, payment: dict[str, Any], signature: bytes) -> Call:
        """The same with a payment that `payment_to_sign` made; anyone may send it, and the signer pays."""
        message = payment["message"]
        packed = message["from"], message["validAfter"], message["validBefore"], *signature_parts(signature)
        return self._to_market(_described(purchase), "buyWithAuthorization", *_fields(purchase), packed)


def _permit_fields(permit: dict[str, Any], signature: bytes) -> tuple[int | bytes, ...]:
    message = permit["message"]
    return message["value"], message["deadline"], *signature_parts(signature)


def _described(purchase: Purchase) -> str:
    return f"buy offer {purchase.offer_id} for at most {format_amount(purchase.max_price)}"


def _fields(purchase: Purchase) -> tuple[int, Account, TokenAmount, bytes]:
    return purchase.offer_id, purchase.holder, purchase.max_price, purchase.order_ref


def _nonce(purchase: Purchase) -> bytes:
    return purchase_nonce(*_fields(purchase))
