"""Letting the market take money: an allowance, a permit that travels with the call, or a payment that anyone relays.

A permit is offered for signature only if the token says which domain its permits are for, and says the same as its
separator: a signature for another domain could mean something else to another contract.
"""

from collections.abc import Sequence
from typing import Any

from viz_node.chain.account.library import LazyCall, encode_call
from viz_node.chain.account.payments import (
    PERMIT_TYPE,
    TOKEN_VERSION,
    TokenDomain,
    authorization_data,
    permit_data,
    purchase_nonce,
    signature_parts,
)
from viz_node.chain.contract.items import number_of
from viz_node.chain.encoding.abi import decode, encode
from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.gateway.reader import MarketReader
from viz_node.chain.node.rpc import RpcRefusedError, to_bytes, to_hex
from viz_node.domain.ids import TokenAmount, format_tokens
from viz_node.domain.purchase import Purchase
from viz_node.domain.transaction import Call, TypedData
from viz_node.errors import VerificationError

# name, version, chain and contract, in the bits of ERC-5267.
_FIELDS = bytes([0x0F]) + bytes(31)
_DOMAIN = ("bytes32", "string", "string", "uint256", "address", "bytes32", "uint256[]")


class PaymentsGateway(MarketReader):
    """The calls with which a payer allows the market to take a price, and what is to be signed for them."""

    def allowance(self, account: str) -> TokenAmount:
        """How much the market may take from the account."""
        ((amount,),) = self._views([("allowance", (account, self.deployment.market))], self._token)
        return TokenAmount(amount)

    def permit_to_sign(self, account: str, amount: TokenAmount, deadline: int) -> TypedData | None:
        """The typed data with which `account` allows the market to take `amount` until `deadline` (ERC-2612).

        None if the token has no such permits, or does not tell for which domain.
        """
        domain, kind = self._token_domain(), self._told("PERMIT_TYPEHASH()", ("bytes32",))
        nonce = self._told("nonces(address)", ("uint256",), account)
        if domain is None or nonce is None or kind not in (None, [PERMIT_TYPE]):
            return None
        return permit_data(domain, (account, self.deployment.market, amount, nonce[0], deadline))

    def takes_permit(self, permit: TypedData, signature: bytes) -> bool:
        """Whether the token takes this permit now; nothing is sent."""
        message, (v, r, s) = permit.message, signature_parts(signature)
        parties = message["owner"], message["spender"]
        data = self._token.call_data("permit", *parties, message["value"], message["deadline"], v, r, s)
        return self._token_answer(data) is not None

    def payment_to_sign(self, purchase: Purchase, payer: str, valid_before: int) -> TypedData:
        """The typed data with which `payer` pays for exactly this purchase; anyone may send it (ERC-3009).

        Raises: VerificationError (the token does not tell its domain).
        """
        domain = self._token_domain()
        if domain is None:
            raise VerificationError("the payment token does not tell for which domain it takes signatures")
        bound = purchase.item, purchase.holder, purchase.max_price, purchase.order_ref
        values = payer, self.deployment.market, purchase.max_price, valid_before
        return authorization_data(domain, values, purchase_nonce(*bound))

    def prepare_approve(self, amount: TokenAmount) -> Call:
        """Let the market take up to `amount` from the sender."""
        values = self.deployment.market, amount
        description = f"allow the market to take {format_tokens(amount)}"
        return LazyCall(self.deployment.token, description, lambda: encode_call("TestToken", "approve", values))

    def prepare_with_permit(self, call: Call, permit: TypedData, signature: bytes) -> Call:
        """Any call of the market that pays out of the sender's allowance, together with a permit of the sender."""
        message = permit.message
        packed = message["value"], message["deadline"], *signature_parts(signature)
        buy = self._market.functions["buy"]
        if call.data[:4] == buy.selector:  # it has an entry point of its own, which is cheaper
            return self._to_market(call.description, "buyWithPermit", *decode(buy.inputs, call.data[4:]), packed)
        return self._to_market(call.description, "withPermit", packed, call.data)

    def prepare_buy_with_authorization(self, purchase: Purchase, payment: TypedData, signature: bytes) -> Call:
        """Buy with a payment that `payment_to_sign` made; anyone may send it, and the signer pays."""
        message = payment.message
        packed = message["from"], message["validAfter"], message["validBefore"], *signature_parts(signature)
        description = f"buy offer {number_of(purchase.item)} for at most {format_tokens(purchase.max_price)}"
        bound = purchase.item, purchase.holder, purchase.max_price, purchase.order_ref
        return self._to_market(description, "buyWithAuthorization", *bound, packed)

    def _token_domain(self) -> TokenDomain | None:
        """The domain of the token's signatures, if what it tells of it leads to its separator."""
        chain_id, token = self.deployment.chain_id, self.deployment.token
        told = self._told("eip712Domain()", _DOMAIN)  # ERC-5267
        if told is not None:
            fields, name, version, *place, _, extensions = told
            if (fields, place, extensions) != (_FIELDS, [chain_id, token], []):
                return None
        else:
            (name,) = self._told("name()", ("string",)) or [None]
            (version,) = self._told("version()", ("string",)) or [TOKEN_VERSION]
        if name is None:
            return None
        domain = TokenDomain(name, version, chain_id, token)
        return domain if self._told("DOMAIN_SEPARATOR()", ("bytes32",)) == [domain.separator] else None

    def _told(self, signature: str, outputs: tuple[str, ...], *values: str) -> list[Any] | None:
        """What the token answers to a question that not every token understands."""
        answer = self._token_answer(_question(signature, values))
        try:
            return None if answer is None else decode(outputs, answer)
        except ValueError:
            return None

    def _token_answer(self, data: bytes) -> bytes | None:
        """None when the token refuses. Raises: ChainUnavailableError."""
        request = {"to": self.deployment.token, "data": to_hex(data)}
        try:
            return to_bytes(self._rpc.call("eth_call", request, "latest"))
        except RpcRefusedError:
            return None


def _question(signature: str, values: Sequence[str]) -> bytes:
    """The call of a view that the token's own code need not have."""
    kinds = [kind for kind in signature[:-1].partition("(")[2].split(",") if kind]
    return keccak(signature.encode())[:4] + encode(kinds, values)
