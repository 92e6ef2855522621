"""Keys delivered for escrowed money: only the buyer opens them, and a wrong one leaves a proof."""

import json
from pathlib import Path

import pytest
from eth_hash.auto import keccak
from hypothesis import given
from hypothesis import strategies as st

from viz_node.domain.order import WrappedKey
from viz_node.errors import UsageError, VerificationError
from viz_node.identity.delivery import (
    ORDER_OF_CURVE,
    key_hash,
    new_order_secret,
    open_delivery,
    point_of,
    prove_wrong_key,
    wrap_for_order,
)

VECTORS = Path(__file__).parents[3] / "contracts" / "test" / "vectors" / "delivery.json"
KEYS = st.binary(min_size=32, max_size=32)
SECRETS = st.integers(1, ORDER_OF_CURVE - 1).map(lambda number: number.to_bytes(32, "big"))


def hexed(case: dict[str, str], *names: str) -> bytes:
    return b"".join(bytes.fromhex(case[name][2:]) for name in names)


@pytest.mark.parametrize("case", json.loads(VECTORS.read_text())["cases"])
def test_open_delivery__shared_vector__agrees_with_the_contract(case: dict[str, str]) -> None:
    secret = hexed(case, "buyerSecret")
    delivered = WrappedKey(hexed(case, "sellerX", "sellerY"), hexed(case, "wrapped"))

    assert point_of(secret) == hexed(case, "buyerX", "buyerY")
    assert point_of(hexed(case, "sellerSecret")) == delivered.point
    assert key_hash(hexed(case, "key")) == hexed(case, "keyHash")
    assert open_delivery(secret, delivered, hexed(case, "keyHash")) == hexed(case, "key")
    assert prove_wrong_key(secret, delivered).shared == hexed(case, "sharedX", "sharedY")


@given(KEYS, SECRETS)
def test_open_delivery__any_key__comes_back(key: bytes, secret: bytes) -> None:
    assert open_delivery(secret, wrap_for_order(key, point_of(secret)), key_hash(key)) == key


@given(KEYS, SECRETS, SECRETS)
def test_open_delivery__another_buyer__refused(key: bytes, secret: bytes, other: bytes) -> None:
    delivered = wrap_for_order(key, point_of(secret))
    if other != secret:
        with pytest.raises(VerificationError, match="wrong key"):
            open_delivery(other, delivered, key_hash(key))


@given(KEYS, KEYS, SECRETS)
def test_prove_wrong_key__wrong_key__evidence_opens_to_another_hash(key: bytes, wrong: bytes, secret: bytes) -> None:
    delivered = wrap_for_order(wrong, point_of(secret))
    proof = prove_wrong_key(secret, delivered)
    opened = bytes(a ^ b for a, b in zip(delivered.wrapped, keccak(proof.shared), strict=True))

    assert proof.secret == secret
    assert opened == wrong
    assert (key_hash(opened) == key_hash(key)) == (wrong == key)


def test_wrap_for_order__same_key_twice__never_the_same_bytes() -> None:
    point = point_of(new_order_secret())
    first, second = wrap_for_order(bytes(32), point), wrap_for_order(bytes(32), point)
    assert first.point != second.point
    assert first.wrapped != second.wrapped


# On the curve, with x between the order of the curve and that of its field: the contract cannot multiply it.
HIGH_POINT = bytes.fromhex(
    "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141"
    "98f66641cb0ae1776b463ebdee3d77fe2658f021db48e2c8ac7ab4c92f83621e"
)


@pytest.mark.parametrize(
    "point",
    [HIGH_POINT, b"", bytes(63), bytes(64), b"\xff" * 64, ORDER_OF_CURVE.to_bytes(32, "big") + bytes(32), b"\1" * 64],
)
def test_wrap_for_order__strange_point__refused(point: bytes) -> None:
    with pytest.raises(VerificationError, match="point"):
        wrap_for_order(bytes(32), point)


@pytest.mark.parametrize("secret", [b"", bytes(32), ORDER_OF_CURVE.to_bytes(32, "big"), b"\1" * 33])
def test_point_of__no_secret_of_the_curve__refused(secret: bytes) -> None:
    with pytest.raises(UsageError):
        point_of(secret)


def test_lengths__short_key_or_wrapping__refused() -> None:
    secret = new_order_secret()
    with pytest.raises(UsageError):
        wrap_for_order(b"short", point_of(secret))
    with pytest.raises(VerificationError):
        open_delivery(secret, WrappedKey(point_of(secret), b"short"), bytes(32))
