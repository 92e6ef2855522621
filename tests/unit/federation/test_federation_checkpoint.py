import numpy as np
import pytest

from viz_node.errors import VerificationError
from viz_node.federation.checkpoint import Checkpoint, load_checkpoint, save_checkpoint, vector_path
from viz_node.federation.trainer import Agreement, Layout

AGREEMENT = Agreement("run", "ab" * 32)
LAYOUT = Layout("cd" * 32, 3)


def checkpoint(rounds=()):
    return Checkpoint(AGREEMENT, LAYOUT, np.arange(3, dtype=np.float32) + len(rounds), tuple(rounds))


def test_load_checkpoint__none_written__is_none(tmp_path):
    assert load_checkpoint(tmp_path, AGREEMENT) is None


def test_load_checkpoint__after_a_second_save__is_the_second(tmp_path):
    save_checkpoint(tmp_path, checkpoint())
    save_checkpoint(tmp_path, checkpoint([{"round": 1}]))
    loaded = load_checkpoint(tmp_path, AGREEMENT)
    assert loaded.vector.tolist() == [1.0, 2.0, 3.0]
    assert loaded.rounds == ({"round": 1},)
    assert loaded.layout == LAYOUT
    assert len(list(tmp_path.glob("vector-*.npy"))) == 1


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
