"""Vouchers: the bytes that the contract signs off, and nothing near them."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.chain.contract.vouchers import (
    Voucher,
    Vouchers,
    account_of_point,
    domain_separator,
    sign_voucher,
    verify_voucher,
    voucher_digest,
)
from viz_node.domain.deployment import NOBODY, Deployment
from viz_node.domain.ids import Account
from viz_node.errors import UsageError, VerificationError

VECTORS = json.loads((Path(__file__).parents[4] / "contracts" / "test" / "vectors" / "vouchers.json").read_text())
DOMAIN = domain_separator(int(VECTORS["chainId"]), Account(VECTORS["market"]))
MARKET = Deployment(int(VECTORS["chainId"]), Account(VECTORS["market"]), NOBODY, 0, "00" * 32)
ORDER_OF_CURVE = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEY = bytes.fromhex(VECTORS["cases"][0]["sessionKey"][2:])
SESSION = Account(VECTORS["cases"][0]["sessionAccount"])
VOUCHER = Voucher(3, 60, 20, b"r" * 32)
VOUCHERS = st.builds(
    Voucher,
    st.integers(1, 2**64 - 1),
    st.integers(1, 2**128 - 1),
    st.integers(1, 2**64 - 1),
    st.binary(min_size=32, max_size=32),
)


@pytest.mark.parametrize("case", VECTORS["cases"])
def test_sign_voucher__shared_vector__agrees_with_the_contract(case: dict[str, str]) -> None:
    root = bytes.fromhex(case["usageRoot"][2:])
    voucher = Voucher(int(case["channel"]), int(case["cumulative"]), int(case["uses"]), root)
    signature = bytes.fromhex(case["r"][2:] + case["vs"][2:])

    assert voucher_digest(DOMAIN, voucher).hex() == case["digest"][2:]
    assert sign_voucher(bytes.fromhex(case["sessionKey"][2:]), DOMAIN, voucher) == signature
    verify_voucher(Account(case["sessionAccount"]), DOMAIN, voucher, signature)


@given(VOUCHERS, VOUCHERS)
def test_verify_voucher__other_voucher_or_market__refused(signed: Voucher, other: Voucher) -> None:
    signature = sign_voucher(KEY, DOMAIN, signed)
    verify_voucher(SESSION, DOMAIN, signed, signature)
    elsewhere = domain_separator(1, Account(VECTORS["market"]))
    for domain, voucher in [(DOMAIN, other)] * (other != signed) + [(elsewhere, signed)]:
        with pytest.raises(VerificationError):
            verify_voucher(SESSION, domain, voucher, signature)


@given(st.binary(max_size=70))
def test_verify_voucher__random_bytes__refused(signature: bytes) -> None:
    with pytest.raises(VerificationError):
        verify_voucher(SESSION, DOMAIN, VOUCHER, signature)


@given(st.integers(0, 511))
def test_verify_voucher__one_bit_changed__refused(bit: int) -> None:
    number = int.from_bytes(sign_voucher(KEY, DOMAIN, VOUCHER), "big") ^ (1 << bit)
    with pytest.raises(VerificationError):
        verify_voucher(SESSION, DOMAIN, VOUCHER, number.to_bytes(64, "big"))


def test_verify_voucher__s_above_half_the_order__refused() -> None:
    signature = sign_voucher(KEY, DOMAIN, VOUCHER)
    with pytest.raises(VerificationError, match="canonical"):
        verify_voucher(SESSION, DOMAIN, VOUCHER, signature[:32] + (ORDER_OF_CURVE // 2 + 1).to_bytes(32, "big"))


@pytest.mark.parametrize("key", [b"", b"\1" * 31, bytes(32), b"\xff" * 32])
def test_session_key__no_key__refused(key: bytes) -> None:
    with pytest.raises(UsageError):
        sign_voucher(key, DOMAIN, VOUCHER)
    with pytest.raises(UsageError):
        Vouchers(MARKET).session_account(key)


@pytest.mark.parametrize("case", VECTORS["cases"])
def test_session_account__shared_vector__is_the_account_of_the_key(case: dict[str, str]) -> None:
    assert Vouchers(MARKET).session_account(bytes.fromhex(case["sessionKey"][2:])) == case["sessionAccount"]


@pytest.mark.parametrize("fields", [(0, 1, 1), (1, 0, 1), (1, 1, 0), (2**64, 1, 1), (1, 2**128, 1), (1, 1, 2**64)])
def test_voucher__numbers_that_do_not_fit__refused(fields: tuple[int, int, int]) -> None:
    with pytest.raises(UsageError):
        Voucher(*fields, b"r" * 32)


def test_account_of_point__generator__is_the_known_account() -> None:
    generator = bytes.fromhex(
        "79be667ef9dcbbac55a06295ce870b07029bfcdb2dce28d959f2815b16f81798"
        "483ada7726a3c4655da4fbfc0e1108a8fd17b448a68554199c47d08ffb10d4b8"
    )
    assert account_of_point(generator) == "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"
