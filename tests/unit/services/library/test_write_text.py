"""Texts by a writer in memory: what it is told, what its job keeps, and who hears the pieces."""

from pathlib import Path
from typing import Any

import pytest

from tests.fakes.store import MemoryStore
from tests.fakes.trainer import MemoryTrainer, MemoryWriter
from tests.fakes.world import keys_of
from viz_node.daemon.secrets import Sealing
from viz_node.domain.answer import as_json
from viz_node.domain.job import Job, JobState
from viz_node.domain.names import FilePath
from viz_node.domain.orders import GenerateOrder
from viz_node.domain.records import AdapterRecord
from viz_node.domain.training import InstalledBase
from viz_node.domain.worker import Progress, TextPiece
from viz_node.errors import NotFoundError
from viz_node.services.library.manage_works import WorkShelf
from viz_node.services.library.report_training import Reports
from viz_node.services.library.train_adapter import ModelTools, Workshop
from viz_node.services.library.write_text import Writing

SMALL = InstalledBase("small", "aa" * 32, "CC0-1.0", 1, FilePath("/bases/small"), {})
JOB = Job("j2", "generate", JobState.RUNNING, GenerateOrder("elsin", "In", 9), 1, 1)


class Bench:
    """A library with one adapter; `told` is what its job reported."""

    def __init__(self, directory: Path) -> None:
        self.bases, self.writer = [SMALL], MemoryWriter()
        self.told: list[Any] = []
        store = MemoryStore()
        store.adapters.save_adapter(AdapterRecord("elsin", None, "small", "aa" * 32, str(directory), "trained"))
        self.writing = Writing(
            Workshop(
                store,
                WorkShelf(store, directory, Sealing(keys_of("owner")), None, lambda: 1),
                Reports(store.adapters, directory, Sealing(keys_of("owner"))),
                directory,
                ModelTools(MemoryTrainer([]), lambda: self.bases, lambda texts, seed: ([], [])),
            ),
            self.writer,
        )


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


async def test_generate__one_adapter__its_base_and_folder_are_ordered_and_only_progress_is_kept(bench: Bench) -> None:
    written = await bench.writing.generate(JOB, bench.told.append)

    told = {"text": "In year 1", "adapter": "elsin", "base": "small", "finish_reason": "length", "prompt_cut": 0}
    assert as_json(written) == told
    assert bench.told == [Progress("write", 1, 9)]
    assert (bench.writer.orders[-1].base, bench.writer.orders[-1].max_new_tokens) == (SMALL.reference(), 9)


async def test_generate__base_of_the_adapter_is_gone__is_not_found(bench: Bench) -> None:
    bench.bases.clear()
    with pytest.raises(NotFoundError):
        await bench.writing.generate(JOB, bench.told.append)


async def test_listen__while_a_job_writes__hears_its_pieces_and_no_other_job_s(bench: Bench) -> None:
    with bench.writing.listen("j2") as pieces, bench.writing.listen("j3") as others:
        await bench.writing.generate(JOB, bench.told.append)
        heard = [pieces.get_nowait() for _ in range(pieces.qsize())]

    assert heard == [Progress("write", 1, 9), TextPiece("In"), TextPiece(" year 1")]
    assert others.empty()
