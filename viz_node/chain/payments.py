"""Signed permissions of token holders as EIP-712 typed data: permits (ERC-2612) and payments (ERC-3009).

Typed data rather than a digest, because signers outside the node show a person what is signed. The payment token's
domain has version "1", as in OpenZeppelin's tokens. The test token accepts these signatures in
`tests/integration/test_chain_payments.py`.
"""

from typing import TYPE_CHECKING, Any

from viz_node.chain.codec import encode
from viz_node.chain.hashing import keccak
from viz_node.errors import VerificationError

if TYPE_CHECKING:
    from viz_node.chain.deployment import Deployment

TOKEN_VERSION = "1"
_DOMAIN = [("name", "string"), ("version", "string"), ("chainId", "uint256"), ("verifyingContract", "address")]
_PERMIT = [
    ("owner", "address"),
    ("spender", "address"),
    ("value", "uint256"),
    ("nonce", "uint256"),
    ("deadline", "uint256"),
]
_PAYMENT = [
    ("from", "address"),
    ("to", "address"),
    ("value", "uint256"),
    ("validAfter", "uint256"),
    ("validBefore", "uint256"),
    ("nonce", "bytes32"),
]


def permit_data(deployment: "Deployment", token_name: str, values: tuple[str, int, int, int]) -> dict[str, Any]:
    """A permit for the market; `values` are owner, value, nonce and deadline."""
    owner, value, nonce, deadline = values
    message = {"owner": owner, "spender": deployment.market, "value": value, "nonce": nonce, "deadline": deadline}
    return _typed(deployment, token_name, ("Permit", _PERMIT), message)


def authorization_data(
    deployment: "Deployment", token_name: str, values: tuple[str, int, int, bytes]
) -> dict[str, Any]:
    """A payment to the market; `values` are payer, value, the second from which it is void, and nonce."""
    payer, value, valid_before, nonce = values
    message = {"from": payer, "to": deployment.market, "value": value, "validAfter": 0}
    message |= {"validBefore": valid_before, "nonce": "0x" + nonce.hex()}
    return _typed(deployment, token_name, ("ReceiveWithAuthorization", _PAYMENT), message)


def purchase_nonce(offer_id: int, holder: str, max_price: int, order_ref: bytes) -> bytes:
    """The nonce that binds a payment to what is bought."""
    return keccak(encode(("uint64", "address", "uint256", "bytes32"), (offer_id, holder, max_price, order_ref)))


def signature_parts(signature: bytes) -> tuple[int, bytes, bytes]:
    """v, r and s of 65 bytes r || s || v. Raises: VerificationError."""
    if len(signature) != 65 or signature[64] not in (27, 28):
        raise VerificationError("an account's signature has 65 bytes and ends with 27 or 28")
    return signature[64], signature[:32], signature[32:64]


def _typed(
    deployment: "Deployment", token_name: str, kind: tuple[str, list[tuple[str, str]]], message: dict[str, Any]
) -> dict[str, Any]:
    name, fields = kind
    domain = {"name": token_name, "version": TOKEN_VERSION, "chainId": deployment.chain_id}
    types = {"EIP712Domain": _DOMAIN, name: fields}
    return {
        "types": {key: [{"name": field, "type": text} for field, text in items] for key, items in types.items()},
        "primaryType": name,
        "domain": domain | {"verifyingContract": deployment.token},
        "message": message,
    }
