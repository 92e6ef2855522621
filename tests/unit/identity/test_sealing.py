"""Sealed files open whole, under their key and context, or not at all."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.errors import StorageError, UsageError, VerificationError
from viz_node.identity.sealing import (
    FRAME_BYTES,
    new_key,
    open_bytes,
    open_sealed_file,
    seal_bytes,
    seal_file,
    unwrap_key,
    wrap_key,
    x25519_public,
)

KEY = bytes(range(32))
HEADER = 40
FRAME = FRAME_BYTES + 16


@given(st.binary(max_size=300), st.binary(max_size=20))
def test_seal_bytes__any_value__comes_back(plain: bytes, context: bytes) -> None:
    assert open_bytes(seal_bytes(plain, KEY, context), KEY, context) == plain


@given(st.binary(max_size=40), st.data())
def test_open_bytes__one_bit_flipped__refused(plain: bytes, data: st.DataObject) -> None:
    sealed = bytearray(seal_bytes(plain, KEY))
    sealed[data.draw(st.integers(0, len(sealed) - 1))] ^= 1 << data.draw(st.integers(0, 7))
    with pytest.raises(VerificationError):
        open_bytes(bytes(sealed), KEY)


@given(st.binary(max_size=40), st.data())
def test_open_bytes__cut_anywhere__refused(plain: bytes, data: st.DataObject) -> None:
    sealed = seal_bytes(plain, KEY)
    with pytest.raises(VerificationError):
        open_bytes(sealed[: data.draw(st.integers(0, len(sealed) - 1))], KEY)


def test_open_bytes__other_key_or_context__refused() -> None:
    sealed = seal_bytes(b"text", KEY, b"work 1")
    for key, context in [(bytes(32), b"work 1"), (KEY, b"work 2"), (KEY, b"")]:
        with pytest.raises(VerificationError):
            open_bytes(sealed, key, context)
    with pytest.raises(UsageError):
        open_bytes(sealed, b"short", b"work 1")


@pytest.mark.parametrize("size", [0, 1, FRAME_BYTES - 1, FRAME_BYTES, FRAME_BYTES + 1, 2 * FRAME_BYTES])
def test_open_sealed_file__sizes_around_a_frame__come_back(tmp_path: Path, size: int) -> None:
    source, sealed, opened = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    source.write_bytes(bytes(i % 251 for i in range(1000)) * (size // 1000) + b"x" * (size % 1000))
    seal_file(source, sealed, KEY)
    open_sealed_file(sealed, opened, KEY)
    assert opened.read_bytes() == source.read_bytes()
    assert sealed.stat().st_size == HEADER + size + 16 * max(1, -(-size // FRAME_BYTES))
    assert sealed.stat().st_mode & 0o777 == 0o600


def test_open_sealed_file__frames_cut_swapped_doubled_or_mixed__refused(tmp_path: Path) -> None:
    source, sealed, opened = tmp_path / "a", tmp_path / "b", tmp_path / "c"
    source.write_bytes(b"q" * (2 * FRAME_BYTES + 5))
    seal_file(source, sealed, KEY)
    raw = sealed.read_bytes()
    seal_file(source, sealed, KEY)
    other = sealed.read_bytes()
    head, first, second, last = (
        raw[:HEADER],
        raw[HEADER:][:FRAME],
        raw[HEADER + FRAME :][:FRAME],
        raw[HEADER + 2 * FRAME :],
    )
    bad = {
        "cut at a frame": head + first + second,
        "cut to one frame": head + first,
        "no frame": head,
        "swapped": head + second + first + last,
        "doubled": head + first + first + second + last,
        "last twice": raw + last,
        "tail added": raw + b"\0",
        "cut in the last": raw[:-1],
        "frame of the other file": head + first + other[HEADER + FRAME :][:FRAME] + last,
        "header of the other file": other[:HEADER] + raw[HEADER:],
    }
    for name, content in bad.items():
        sealed.write_bytes(content)
        with pytest.raises(VerificationError):
            open_sealed_file(sealed, opened, KEY)
        assert not opened.exists(), name
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a", "b"]


def test_open_sealed_file__fails__keeps_what_was_there(tmp_path: Path) -> None:
    sealed, opened = tmp_path / "b", tmp_path / "c"
    sealed.write_bytes(seal_bytes(b"text", KEY)[:-1])
    opened.write_bytes(b"before")
    with pytest.raises(VerificationError):
        open_sealed_file(sealed, opened, KEY)
    assert opened.read_bytes() == b"before"


def test_seal_file__no_source_or_no_directory__is_storage_error(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"x")
    with pytest.raises(StorageError):
        seal_file(tmp_path / "none", tmp_path / "b", KEY)
    with pytest.raises(StorageError):
        seal_file(tmp_path / "a", tmp_path / "none" / "b", KEY)


def test_unwrap_key__receiver_and_info__both_must_match() -> None:
    private, key = new_key(), new_key()
    wrapped = wrap_key(x25519_public(private), key, b"order 1")
    assert unwrap_key(private, wrapped, b"order 1") == key
    changed = wrapped[:-1] + bytes([wrapped[-1] ^ 1])
    for own, text, info in [
        (new_key(), wrapped, b"order 1"),
        (private, wrapped, b"order 2"),
        (private, changed, b"order 1"),
    ]:
        with pytest.raises(VerificationError):
            unwrap_key(own, text, info)
    for text in (b"", wrapped[:31], wrapped[:-1]):
        with pytest.raises(VerificationError):
            unwrap_key(private, text, b"order 1")


@pytest.mark.parametrize("public", [b"", b"1" * 31, bytes(32)])
def test_wrap_key__unusable_public_key__refused(public: bytes) -> None:
    with pytest.raises(VerificationError):
        wrap_key(public, new_key(), b"")
