"""Hand over an adapter's key for money held in escrow, so that a wrong key can be proven to the contract.

The manifest names keccak256(K) of the 32-byte key K. The buyer draws a secret b for this order and pays with B = bG.
The seller draws r and answers R = rG and `wrapped` = K xor keccak256(x || y) of the point S = rB. Only the buyer can
compute S = bR and so K. If what comes out does not hash to keccak256(K), the buyer shows the contract b and S: it
checks B = bG and S = bR, opens `wrapped` itself, and gives the money back. Showing b costs nothing, because it belongs
to this order alone and opens only the wrong key.

A point is 64 bytes, x || y. Knows no chain; `contracts/test/vectors/delivery.json` holds both sides to one result.
"""

import secrets

from coincurve import PrivateKey, PublicKey

from viz_node.domain.keccak import keccak
from viz_node.domain.order import WrappedKey, WrongKeyProof
from viz_node.errors import UsageError, VerificationError

SECRET_BYTES = 32
POINT_BYTES = 64
ORDER_OF_CURVE = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


def new_order_secret() -> bytes:
    """A fresh b, or r. Never use one twice: a dispute makes it public."""
    return PrivateKey().secret


def point_of(secret: bytes) -> bytes:
    """The public point of a secret. Raises: UsageError (not a secret of this curve)."""
    try:
        return _encoded(PrivateKey(secret).public_key)
    except ValueError as error:
        raise UsageError("a delivery secret is a number below the order of secp256k1, as 32 bytes") from error


def key_hash(key: bytes) -> bytes:
    """The hash by which manifest and order name the key. Raises: UsageError."""
    if len(key) != SECRET_BYTES:
        raise UsageError("an adapter key has 32 bytes")
    return keccak(key)


def wrap_for_order(key: bytes, buyer_point: bytes) -> WrappedKey:
    """Wrap the key for the buyer who posted the point. Raises: VerificationError (no usable point), UsageError."""
    key_hash(key)
    secret = new_order_secret()
    return WrappedKey(point_of(secret), _xor(key, _mask(_multiplied(buyer_point, secret))))


def open_delivery(secret: bytes, delivered: WrappedKey, expected: bytes) -> bytes:
    """The key, if it is the one that the order names by its hash.

    Raises: VerificationError (the seller delivered another key: dispute it with `prove_wrong_key`).
    """
    key = _xor(delivered.wrapped, _mask(_multiplied(delivered.point, secret)))
    if not secrets.compare_digest(keccak(key), expected):
        raise VerificationError("the seller delivered a wrong key", "dispute the order to get the money back")
    return key


def prove_wrong_key(secret: bytes, delivered: WrappedKey) -> WrongKeyProof:
    """The evidence that the contract takes; it refuses evidence against a right key. Raises: VerificationError."""
    return WrongKeyProof(secret, _multiplied(delivered.point, secret))


def _multiplied(point: bytes, secret: bytes) -> bytes:
    return _encoded(_decoded(point).multiply(secret))


def _decoded(point: bytes) -> PublicKey:
    # The contract cannot multiply points with x at or above the order of the curve, and refuses them.
    if len(point) != POINT_BYTES or int.from_bytes(point[:32], "big") >= ORDER_OF_CURVE:
        raise VerificationError("the other side's point is not usable")
    try:
        return PublicKey(b"\x04" + point)
    except ValueError as error:
        raise VerificationError("the other side's point is not on secp256k1") from error


def _encoded(point: PublicKey) -> bytes:
    return point.format(compressed=False)[1:]


def _mask(shared: bytes) -> bytes:
    return keccak(shared)


def _xor(left: bytes, right: bytes) -> bytes:
    if len(left) != SECRET_BYTES:
        raise VerificationError("a wrapped key has 32 bytes")
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
