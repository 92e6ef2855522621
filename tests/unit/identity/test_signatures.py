"""Peer ids and signatures: known values, round trips, and everything else refused."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.errors import UsageError, VerificationError
from viz_node.identity.signatures import (
    account_of,
    ed25519_public,
    peer_id_of,
    public_key_of,
    recover_account,
    sign_as_account,
    sign_bytes,
    verify_bytes,
)

SEED = bytes(range(32))
PEER = peer_id_of(ed25519_public(SEED))


@given(st.binary(min_size=32, max_size=32))
def test_peer_id_of__any_key__comes_back(public: bytes) -> None:
    peer_id = peer_id_of(public)
    assert peer_id.startswith("12D3Koo")
    assert public_key_of(peer_id) == public


def test_peer_id_of__seed_0_to_31__is_what_libp2p_computes() -> None:
    assert PEER == "12D3KooWA4Xop1JaT3MHxwYMkCepYsv4iPVopMXwCz5iHYdBfeSB"


@pytest.mark.parametrize("text", ["", "1", PEER[:-1], PEER + "1", "Q" + PEER[1:], PEER[:-1] + "0", "z" * 52, "é" * 52])
def test_public_key_of__not_a_peer_id__refused(text: str) -> None:
    with pytest.raises(VerificationError):
        public_key_of(text)


@given(st.binary(max_size=200), st.integers(0, 63), st.integers(0, 7))
def test_verify_bytes__one_bit_flipped__refused(message: bytes, byte: int, bit: int) -> None:
    signature = sign_bytes(SEED, message)
    verify_bytes(PEER, message, signature)
    changed = bytearray(signature)
    changed[byte] ^= 1 << bit
    for peer, text, proof in [
        (PEER, message, bytes(changed)),
        (PEER, message + b"\0", signature),
        (peer_id_of(ed25519_public(bytes(32))), message, signature),
        (PEER, message, signature[:-1]),
    ]:
        with pytest.raises(VerificationError):
            verify_bytes(peer, text, proof)


def test_recover_account__own_signature__gives_account() -> None:
    key = (7).to_bytes(32, "big")
    signature = sign_as_account(key, "I own this: ü")
    assert recover_account("I own this: ü", signature) == account_of(key)
    assert recover_account("I own that", signature) != account_of(key)


@pytest.mark.parametrize("signature", ["", "0x", "zz", "0x" + "00" * 65, "0x" + "ff" * 65, "0x" + "11" * 64])
def test_recover_account__garbage__refused(signature: str) -> None:
    with pytest.raises(VerificationError):
        recover_account("text", signature)


@pytest.mark.parametrize("key", [b"", bytes(32), b"\xff" * 32, b"1" * 31])
def test_account_of__not_a_key__refused(key: bytes) -> None:
    with pytest.raises(UsageError):
        account_of(key)
