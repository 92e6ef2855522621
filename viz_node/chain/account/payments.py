"""Signed permissions of token holders as EIP-712 typed data: permits (ERC-2612) and payments (ERC-3009).

Typed data rather than a digest, because signers outside the node show a person what is signed. What tokens take and
refuse: `tests/integration/test_chain_payments.py`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from viz_node.chain.encoding.abi import encode
from viz_node.chain.encoding.hashing import keccak
from viz_node.domain.transaction import TypedData
from viz_node.errors import VerificationError

TOKEN_VERSION = "1"
"""The version of a token that does not tell one."""
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
_Fields = list[tuple[str, str]]


def type_hash(name: str, fields: _Fields) -> bytes:
    """The hash of a struct's type."""
    return keccak(f"{name}({','.join(f'{kind} {field}' for field, kind in fields)})".encode())


PERMIT_TYPE = type_hash("Permit", _PERMIT)


@dataclass(frozen=True)
class TokenDomain:
    """What signatures for a token are bound to."""

    name: str
    version: str
    chain_id: int
    token: str

    @property
    def separator(self) -> bytes:
        """Its hash, as the token has it."""
        kinds = ("bytes32", "bytes32", "bytes32", "uint256", "address")
        names = keccak(self.name.encode()), keccak(self.version.encode())
        return keccak(encode(kinds, (type_hash("EIP712Domain", _DOMAIN), *names, self.chain_id, self.token)))


def permit_data(domain: TokenDomain, values: tuple[str, str, int, int, int]) -> TypedData:
    """A permit; `values` are owner, spender, value, nonce and deadline."""
    return _typed(domain, ("Permit", _PERMIT), dict(zip((name for name, _ in _PERMIT), values, strict=True)))


def authorization_data(domain: TokenDomain, values: tuple[str, str, int, int], nonce: bytes) -> TypedData:
    """A payment; `values` are payer, recipient, value, and the second from which it is void."""
    payer, recipient, value, valid_before = values
    message: dict[str, str | int] = {"from": payer, "to": recipient, "value": value, "validAfter": 0}
    message |= {"validBefore": valid_before, "nonce": "0x" + nonce.hex()}
    return _typed(domain, ("ReceiveWithAuthorization", _PAYMENT), message)


def purchase_nonce(item: int, holder: str, max_price: int, order_ref: bytes) -> bytes:
    """The nonce that binds a payment to what is bought."""
    return keccak(encode(("uint256", "address", "uint256", "bytes32"), (item, holder, max_price, order_ref)))


def signature_parts(signature: bytes) -> tuple[int, bytes, bytes]:
    """v, r and s of 65 bytes r || s || v. Raises: VerificationError."""
    if len(signature) != 65 or signature[64] not in (27, 28):
        raise VerificationError("an account's signature has 65 bytes and ends with 27 or 28")
    return signature[64], signature[:32], signature[32:64]


def _typed(domain: TokenDomain, kind: tuple[str, _Fields], message: Mapping[str, str | int]) -> TypedData:
    place: dict[str, str | int] = {"name": domain.name, "version": domain.version}
    place |= {"chainId": domain.chain_id, "verifyingContract": domain.token}
    return TypedData({"EIP712Domain": _DOMAIN, kind[0]: kind[1]}, kind[0], place, message)
