"""Texts by a writer in memory: what it is told, what its job keeps, and who hears the pieces."""

from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.bases import listed_sources
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
from viz_node.domain.worker import Progress
from viz_node.errors import NotFoundError
from viz_node.services.library.manage_works import WorkShelf
from viz_node.services.library.report_training import Reports
from viz_node.services.library.train_adapter import ModelTools, Workshop
from viz_node.services.library.write_text import Pieces, Writing

SMALL = InstalledBase("small", "aa" * 32, "CC0-1.0", 1, FilePath("/bases/small"), listed_sources())
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


def drained(pieces: Pieces) -> list[str | None]:
    return [pieces.get_nowait() for _ in range(pieces.qsize())]


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


async def test_listen__before_and_while_a_job_writes__hears_all_its_pieces_and_no_other_job_s(bench: Bench) -> None:
    heard: list[list[str | None]] = []
    with bench.writing.listen("j2") as pieces, bench.writing.listen("j3") as others, ExitStack() as stack:
        bench.writer.after_first = lambda: heard.append(drained(stack.enter_context(bench.writing.listen("j2"))))
        await bench.writing.generate(JOB, bench.told.append)
        assert drained(pieces) == ["In", " year 1", None]
    assert heard == [["In"]]
    assert others.empty()
    with bench.writing.listen("j2") as late:
        assert late.empty()
