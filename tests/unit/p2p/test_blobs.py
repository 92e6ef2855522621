"""Chunk lists and partly fetched files."""

import contextlib
import hashlib
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.errors import NotFoundError, VerificationError
from viz_node.p2p.blobs import CHUNK_BYTES, ChunkList, PartialFile, blob_id_of, chunk_list_of, leaf_of, parse_chunk_list


def test_blob_id_of__known_bytes__fixed_id(tmp_path: Path) -> None:
    path = tmp_path / "blob"
    path.write_bytes(b"hello")
    header = b'{"alg":"sha256","chunk":1048576,"n":1,"size":5,"v":1}'
    raw = len(header).to_bytes(4, "big") + header + hashlib.sha256(b"\x00hello").digest()
    assert blob_id_of(path) == hashlib.sha256(b"\x01" + raw).hexdigest()
    with pytest.raises(NotFoundError):
        blob_id_of(tmp_path / "nothing")


@given(st.integers(min_value=0, max_value=5 * CHUNK_BYTES))
def test_parse_chunk_list__written_list__same(size_bytes: int) -> None:
    count = -(-size_bytes // CHUNK_BYTES)
    chunks = ChunkList(size_bytes, tuple(leaf_of(bytes([n])) for n in range(count)))
    assert parse_chunk_list(chunks.blob_id(), chunks.to_bytes()) == chunks


@given(st.binary(max_size=200))
def test_parse_chunk_list__any_bytes_under_their_own_id__verification_error(raw: bytes) -> None:
    with contextlib.suppress(VerificationError):
        parse_chunk_list(hashlib.sha256(b"\x01" + raw).hexdigest(), raw)


def test_parse_chunk_list__one_leaf_too_many__refused() -> None:
    forged = ChunkList(5, (leaf_of(b"hello"), leaf_of(b"more")))
    with pytest.raises(VerificationError):
        parse_chunk_list(forged.blob_id(), forged.to_bytes())
    with pytest.raises(VerificationError):
        parse_chunk_list("00" * 32, ChunkList(5, (leaf_of(b"hello"),)).to_bytes())


def test_partial_file__reopened_after_damage__keeps_only_what_still_matches(tmp_path: Path) -> None:
    source = tmp_path / "source"
    data = os.urandom(2 * CHUNK_BYTES + 7)
    source.write_bytes(data)
    chunks = chunk_list_of(source)
    partial = PartialFile(tmp_path / "got", chunks)
    partial.open()
    assert partial.store(0, data[:CHUNK_BYTES])
    assert partial.store(2, data[2 * CHUNK_BYTES :])
    assert not partial.store(1, data[:CHUNK_BYTES])
    partial.close()
    with (tmp_path / "got.part").open("r+b") as file:
        file.write(b"damage")
    again = PartialFile(tmp_path / "got", chunks)
    again.open()
    assert again.verified == {2}
    assert again.store(0, data[:CHUNK_BYTES])
    assert again.store(1, data[CHUNK_BYTES : 2 * CHUNK_BYTES])
    again.finish()
    again.close()
    assert (tmp_path / "got").read_bytes() == data
