"""A packed base: a quarter of the size, close to the weights, unpacked to the digest that it names, or refused."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from viz_node.errors import StorageError, VerificationError
from viz_node.models.bases import base_digest, read_base
from viz_node.models.packed import PACKED_NAME, pack, unpack


@pytest.fixture
def packed(tmp_path: Path) -> Path:
    source = tmp_path / "trained"
    source.mkdir()
    rng = np.random.default_rng(1)
    weights = {"model.a.weight": rng.normal(size=(64, 300)).astype(np.float32), "model.norm": np.ones(300, np.float32)}
    weights["model.a.weight"][3] = 0
    save_file(weights, source / "model.safetensors", metadata={"format": "pt"})
    (source / "config.json").write_text("{}")
    facts = {"name": "b", "digest": base_digest(source), "license": "CC0-1.0", "parameters": 3}
    (source / "provenance.json").write_text(json.dumps(facts))
    pack(source, tmp_path / "packed")
    return tmp_path / "packed"


def test_unpack__what_was_packed__has_the_digest_and_is_close(packed: Path, tmp_path: Path) -> None:
    unpack(packed, tmp_path / "out")
    base = read_base(tmp_path / "out")
    assert (
        base.digest
        == base_digest(tmp_path / "out")
        != json.loads((packed / "provenance.json").read_text())["trained_digest"]
    )
    before, after = (load_file(tmp_path / folder / "model.safetensors") for folder in ("trained", "out"))
    largest = np.abs(before["model.a.weight"]).max(axis=1, keepdims=True)
    assert (np.abs(before["model.a.weight"] - after["model.a.weight"]) <= largest / 254 + 1e-7).all()
    assert (after["model.norm"] == before["model.norm"]).all()
    assert (packed / PACKED_NAME).stat().st_size < (tmp_path / "trained/model.safetensors").stat().st_size / 3


@pytest.mark.parametrize("damage", ["byte", "short", "missing", "provenance"])
def test_unpack__damaged__is_refused_and_leaves_nothing(packed: Path, tmp_path: Path, damage: str) -> None:
    file = packed / PACKED_NAME
    raw = bytearray(file.read_bytes())
    raw[-100] ^= 1
    if damage == "byte":
        file.write_bytes(raw)
    elif damage == "short":
        file.write_bytes(raw[:-50])
    elif damage == "missing":
        file.unlink()
    else:
        (packed / "provenance.json").write_text("{")
    with pytest.raises((VerificationError, StorageError)):
        unpack(packed, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["packed", "trained"]
