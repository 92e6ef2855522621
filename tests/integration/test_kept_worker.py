"""A worker that stays, with real processes: killed, halted, silent, idle, and wanted elsewhere."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from tests.fakes.kept_worker import Act, Acted
from viz_node.domain.worker import Progress, TextPiece, WorkerLine
from viz_node.errors import DeadlineError, TrainingError, UsageError, VizNodeError
from viz_node.workers.ask import Answers, WorkerCommand
from viz_node.workers.keep import KeptWorker, Patience

ANSWERS = Answers(Acted, (Progress, TextPiece))


def quiet(_: WorkerLine) -> None:
    pass


@asynccontextmanager
async def keeping(
    folder: Path, patience: Patience | None = None, module: str = "tests.fakes.kept_worker"
) -> AsyncIterator[KeptWorker]:
    command = WorkerCommand(module, {}, 65_536, folder / "workers.log")
    worker = KeptWorker(lambda: command, patience or Patience())
    try:
        yield worker
    finally:
        await worker.close()


async def act(worker: KeptWorker, kind: str = "", mark: Path | None = None) -> Acted:
    return await worker.ask(Act(kind, str(mark or "")), ANSWERS, quiet)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


async def until(condition: Callable[[], bool], seconds: float = 10.0) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        await asyncio.sleep(0.02)


async def test_ask__several_orders_at_once__one_process_takes_them_in_turn(tmp_path: Path) -> None:
    async with keeping(tmp_path) as worker:
        assert worker.kept is None
        done = await asyncio.gather(*(act(worker) for _ in range(5)))
        assert [one.count for one in done] == [1, 2, 3, 4, 5]
        assert worker.kept is not None
        assert {one.pid for one in done} == {worker.kept.pid}
    assert not is_alive(done[0].pid)
    with pytest.raises(VizNodeError, match="the node is stopping"):
        await act(worker)


async def test_ask__killed_between_two_orders__replaced_unnoticed(tmp_path: Path) -> None:
    async with keeping(tmp_path) as worker:
        first = await act(worker)
        os.kill(first.pid, signal.SIGKILL)
        second = await act(worker)
        assert (second.count, second.pid != first.pid) == (1, True)


async def test_ask__dies_before_it_tells_anything__tried_once_more_if_it_had_waited(tmp_path: Path) -> None:
    async with keeping(tmp_path) as worker:
        await act(worker)
        assert (await act(worker, "dies once", tmp_path / "mark")).count == 1
        with pytest.raises(TrainingError, match="the model's process failed: it ended with 7") as told:
            await act(worker, "dies")
        assert "workers.log" in told.value.hint
        assert (await act(worker)).count == 1


@pytest.mark.parametrize(
    ("kind", "error", "says", "is_kept"),
    [
        ("wrong", UsageError, "a wrong order", True),
        ("fails", TrainingError, "it failed", False),
        ("dies while it tells", TrainingError, "it ended with 7", False),
        ("hangs", DeadlineError, "said nothing for", False),
    ],
)
async def test_ask__failed__only_after_a_wrong_order_does_the_process_stay(
    tmp_path: Path, kind: str, error: type[VizNodeError], says: str, is_kept: bool
) -> None:
    async with keeping(tmp_path, Patience(silent_seconds=3.0)) as worker:
        first = await act(worker)
        with pytest.raises(error, match=says):
            await act(worker, kind)
        assert ((await act(worker)).pid == first.pid) is is_kept
        assert worker.trouble == ""


async def test_ask__caller_gone__the_work_is_left_and_the_process_stays(tmp_path: Path) -> None:
    async with keeping(tmp_path) as worker:
        first = await act(worker)
        heard = asyncio.Event()
        task = asyncio.create_task(worker.ask(Act("works"), ANSWERS, lambda line: heard.set()))
        await heard.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert (await act(worker)).pid == first.pid


async def test_ask__caller_gone_and_it_does_not_listen__it_is_ended(tmp_path: Path) -> None:
    async with keeping(tmp_path, Patience(halt_seconds=0.2)) as worker:
        first, told = await act(worker), asyncio.Event()
        task = asyncio.create_task(worker.ask(Act("hangs"), ANSWERS, lambda line: told.set()))
        await told.wait()
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        assert (await act(worker)).pid != first.pid
        await until(lambda: not is_alive(first.pid))


async def test_ask__idle_for_long_enough__its_memory_is_given_back(tmp_path: Path) -> None:
    async with keeping(tmp_path, Patience(idle_seconds=0.3)) as worker:
        first = await act(worker)
        assert worker.kept is not None
        await until(lambda: worker.kept is None and not is_alive(first.pid))
        assert (await act(worker)).count == 1
    async with keeping(tmp_path, Patience(idle_seconds=0)) as worker:
        await act(worker)
        assert worker.kept is None


async def test_room__while_it_lasts__nothing_waits_but_orders_are_answered(tmp_path: Path) -> None:
    async with keeping(tmp_path) as worker:
        first = await act(worker)
        async with worker.room():
            assert not is_alive(first.pid)
            second = await act(worker)
            assert worker.kept is None
        assert (await act(worker)).pid != second.pid
        assert worker.kept is not None


async def test_ask__cannot_be_started__trouble_until_it_can(tmp_path: Path) -> None:
    async with keeping(tmp_path, module="tests.fakes.nothing_of_this_name") as worker:
        with pytest.raises(TrainingError, match="it ended with 1"):
            await act(worker)
        assert "it ended with 1" in worker.trouble
