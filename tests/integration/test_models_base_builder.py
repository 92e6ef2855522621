"""The small base model: the same seed gives the same bytes, another seed another model."""

from pathlib import Path

import pytest

from viz_node.domain.recipe import BaseRecipe

pytest.importorskip("torch")

TINY = {"hidden_size": 64, "intermediate_size": 128, "layers": 2, "heads": 2, "vocabulary": 400, "steps": 6, "batch": 2}


def test_build_base__same_seed__same_digest_and_another_seed_another(tmp_path: Path) -> None:
    from viz_node.models.base_builder import build_base

    digests = [
        build_base(tmp_path / name, seed, BaseRecipe(**TINY, name=name), lambda line: None).digest
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    ]
    assert digests[0] == digests[1]
    assert digests[0] != digests[2]
