"""The sample works: the same everywhere, each of its own, and enough to train on."""

from pathlib import Path

import pytest

from viz_node.content.datasets import split_texts
from viz_node.content.samples import HARBOUR, ORCHARD, Archive, write_samples

ARCHIVES = pytest.mark.parametrize("archive", [HARBOUR, ORCHARD], ids=["harbour", "orchard"])


@ARCHIVES
def test_write_samples__twice__same_bytes_and_no_text_twice(tmp_path: Path, archive: Archive) -> None:
    first = [path.read_bytes() for path in write_samples(tmp_path / "a", archive)]
    second = [path.read_bytes() for path in write_samples(tmp_path / "b", archive)]
    assert first == second
    assert len(set(first)) == len(archive.places) >= 6


@ARCHIVES
def test_write_samples__an_archive__can_be_split_into_training_and_held_out(tmp_path: Path, archive: Archive) -> None:
    texts = [path.read_text() for path in write_samples(tmp_path, archive)]
    train, held_out = split_texts(texts, 0.1, 1)
    assert sum(map(len, train)) > 10_000
    assert sum(map(len, held_out)) > 500


def test_write_samples__two_archives__share_no_place(tmp_path: Path) -> None:
    names = [{path.name for path in write_samples(tmp_path, archive)} for archive in (HARBOUR, ORCHARD)]
    assert not names[0] & names[1]
