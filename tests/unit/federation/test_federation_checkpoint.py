import json
from dataclasses import replace
from functools import reduce

import numpy as np
import pytest

from viz_node.domain.rounds import Agreement, Layout, RoundFacts
from viz_node.errors import VerificationError
from viz_node.federation.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, vector_path

AGREEMENT = Agreement("run", "ab" * 32)
LAYOUT = Layout("cd" * 32, 3)
ROUND = RoundFacts(
    round_number=1,
    members=("a", "b"),
    tokens={"a": 3, "b": 4},
    weights={"a": 3, "b": 4},
    losses={"a": 0.5, "b": 0.25},
    refused={"c": "another layout"},
    loss=0.375,
    seconds=1.5,
    vector_digest="ee" * 32,
)
# As the program wrote it before these records had types.
WRITTEN = (
    '{"run_id":"run","terms_digest":"TERMS","layout_digest":"LAYOUT","vector_size":3,"vector_digest":"VECTOR",'
    '"rounds":[{"round":1,"members":["a","b"],"tokens":{"a":3,"b":4},"weights":{"a":3,"b":4},"losses":{"a":0.5,"b":0.25},'
    '"refused":{"c":"another layout"},"loss":0.375,"seconds":1.5,"vector_digest":"ROUND"}],"closed":1}'
)


def checkpoint(rounds=()):
    return Checkpoint(AGREEMENT, LAYOUT, np.arange(3, dtype=np.float32) + len(rounds), tuple(rounds))


def test_load_checkpoint__none_written__is_none(tmp_path):
    assert load_checkpoint(tmp_path, AGREEMENT) is None


def test_load_checkpoint__after_a_second_save__is_the_second(tmp_path):
    save_checkpoint(tmp_path, checkpoint())
    save_checkpoint(tmp_path, checkpoint([ROUND]))
    loaded = load_checkpoint(tmp_path, AGREEMENT)
    assert loaded.vector.tolist() == [1.0, 2.0, 3.0]
    assert loaded.rounds == (ROUND,)
    assert loaded.layout == LAYOUT
    assert len(list(tmp_path.glob("vector-*.npy"))) == 1


def test_save_checkpoint__one_round__is_the_form_of_earlier_versions(tmp_path):
    save_checkpoint(tmp_path, replace(checkpoint([ROUND]), closed=1))
    written = json.loads((tmp_path / "checkpoint.json").read_bytes())
    digests = {"TERMS": "ab" * 32, "LAYOUT": "cd" * 32, "ROUND": "ee" * 32, "VECTOR": written["vector_digest"]}
    expected = reduce(lambda text, word: text.replace(word, digests[word]), digests, WRITTEN)
    assert json.dumps(written, separators=(",", ":")) == expected
    (tmp_path / "checkpoint.json").write_text(expected)
    assert load_checkpoint(tmp_path, AGREEMENT).rounds == (ROUND,)


def test_load_checkpoint__other_terms__is_refused(tmp_path):
    save_checkpoint(tmp_path, checkpoint())
    with pytest.raises(VerificationError, match="other terms"):
        load_checkpoint(tmp_path, Agreement("run", "00" * 32))


def test_load_checkpoint__vector_changed_on_disk__is_refused(tmp_path):
    save_checkpoint(tmp_path, checkpoint())
    np.save(vector_path(tmp_path, 0), np.zeros(3, dtype=np.float32))
    with pytest.raises(VerificationError, match="digest"):
        load_checkpoint(tmp_path, AGREEMENT)


def test_load_checkpoint__record_cut_off__is_refused(tmp_path):
    save_checkpoint(tmp_path, checkpoint())
    (tmp_path / "checkpoint.json").write_bytes(b'{"run_id": "ru')
    with pytest.raises(VerificationError, match="damaged"):
        load_checkpoint(tmp_path, AGREEMENT)
