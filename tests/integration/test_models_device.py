"""Where models compute: a worker is told, and says when the device is not there."""

import asyncio
from pathlib import Path

import pytest

from tests.tiny_model import write_tiny_model
from viz_node.daemon.config import worker_environment
from viz_node.daemon.processes import Workers
from viz_node.domain.names import FilePath
from viz_node.domain.training import BaseModel, Generate, Train
from viz_node.errors import TrainingError


def workers(folder: Path, device: str) -> Workers:
    return Workers(worker_environment(1, folder / "flower"), folder / "workers.log", device=device)


async def test_workers__a_gpu_that_is_not_there__training_and_writing_name_it(tmp_path: Path) -> None:
    write_tiny_model(tmp_path / "base")
    base, out = BaseModel("tiny", FilePath(str(tmp_path / "base")), ""), FilePath(str(tmp_path / "out"))
    missing = workers(tmp_path, "cuda:97")
    with pytest.raises(TrainingError, match=r"finds no cuda:97 on this machine \(GPUs found: \d+\)") as refused:
        await missing.writer.generate(Generate(base, "the lamp"), lambda _: None)
    assert 'device = "auto"' in refused.value.hint
    with pytest.raises(TrainingError, match="finds no cuda:97"):
        await missing.train(Train(base, ("the lamp. " * 20,), out, out), lambda _: None)
    at_hand = workers(tmp_path, "cpu")
    written = await at_hand.writer.generate(Generate(base, "the lamp", max_new_tokens=4), lambda _: None)
    assert written.prompt_tokens == 1 + len("the lamp")
    assert at_hand.writer.held is not None
    await asyncio.gather(missing.writer.close(), at_hand.writer.close())
