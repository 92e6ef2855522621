"""The model that stays: the same texts as one loaded anew, whatever was written with it before."""

import os
from pathlib import Path

import pytest

from tests.tiny_model import write_tiny_model
from viz_node.domain.names import FilePath
from viz_node.domain.sampling import Sampling
from viz_node.domain.training import BaseModel, Generate, TextWritten
from viz_node.domain.worker import Progress, WorkerLine
from viz_node.errors import TrainingError, VerificationError

torch = pytest.importorskip("torch")


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("base")
    write_tiny_model(folder)
    return folder


def write_adapter(base: Path, folder: Path, seed: int) -> str:
    """An adapter of great effect; its digest."""
    from viz_node.domain.recipe import Recipe
    from viz_node.models.adapter_files import adapter_digest
    from viz_node.models.loading import attach_adapter, load_base, save_adapter
    from viz_node.models.targets import choose_targets

    model = load_base(base)
    targets = choose_targets(model, "tiny")
    adapted = attach_adapter(model, targets, Recipe(rank=4, alpha=8), seed, "tiny")
    for name, parameter in adapted.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.5)
    save_adapter(adapted, targets.names, folder, "tiny")
    return adapter_digest(folder)


def order(base: Path, adapter: Path | None = None, digest: str = "") -> Generate:
    named = BaseModel("tiny", FilePath(str(base)), "")
    return Generate(named, "the lamp", FilePath(str(adapter or "")), digest, 24, Sampling(temperature=0))


def written(loaded: object, order: Generate, told: list[WorkerLine] | None = None) -> TextWritten:
    from viz_node.models.writing import Loaded, write

    assert isinstance(loaded, Loaded)
    return write(loaded, order, (told if told is not None else []).append, lambda: None)


def test_write__adapters_in_turn__each_text_as_of_a_model_loaded_anew(base: Path, tmp_path: Path) -> None:
    from viz_node.models.writing import Loaded

    folders = [tmp_path / "a", tmp_path / "b"]
    orders = [order(base, folder, write_adapter(base, folder, seed)) for seed, folder in enumerate(folders)]
    orders = [order(base), *orders]
    fresh = [written(Loaded(), one).text for one in orders]
    assert len(set(fresh)) == 3
    kept, told = Loaded(), list[WorkerLine]()
    course = [0, 1, 2, 2, 0, 1, 0]
    assert [written(kept, orders[number], told).text for number in course] == [fresh[number] for number in course]
    assert told.count(Progress("load", 0, 1)) == 1


def test_write__files_changed_since__read_and_checked_again(base: Path, tmp_path: Path) -> None:
    from viz_node.models.writing import Loaded

    digest, kept = write_adapter(base, tmp_path, 1), Loaded()
    before = written(kept, order(base, tmp_path, digest)).text
    weights = tmp_path / "adapter_model.safetensors"
    old = weights.stat()
    other = write_adapter(base, tmp_path, 2)
    os.utime(weights, ns=(old.st_atime_ns, old.st_mtime_ns))
    with pytest.raises(TrainingError, match="not the one asked for"):
        written(kept, order(base, tmp_path, digest))
    assert written(kept, order(base, tmp_path, other)).text != before
    weights.write_bytes(b"nothing")
    with pytest.raises(VerificationError):
        written(kept, order(base, tmp_path, other))
    assert written(kept, order(base)).text == written(Loaded(), order(base)).text


def test_unpack_weights__4_bit_model__logits_are_equal_to_the_last_bit(base: Path) -> None:
    from viz_node.models.dense import DenseLinear, unpack_weights
    from viz_node.models.loading import load_base

    ids = torch.tensor([[1, 8, 9, 10]])
    with torch.no_grad():
        packed = load_base(base).eval()(input_ids=ids).logits
        model = unpack_weights(load_base(base).eval())
        assert torch.equal(model(input_ids=ids).logits, packed)
    assert sum(isinstance(part, DenseLinear) for part in model.modules()) == 14
