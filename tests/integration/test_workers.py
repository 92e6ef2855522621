"""Both sides of the workers' edge, with real processes that err in every way."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fakes.plain_worker import Act, Acted
from viz_node.domain.worker import Progress, WorkerLine
from viz_node.errors import LockedError, TrainingError, VizNodeError
from viz_node.workers.ask import Answers, WorkerCommand, ask


async def act(folder: Path, kind: str = "", tell: Callable[[WorkerLine], None] = lambda line: None) -> Acted:
    command = WorkerCommand("tests.fakes.plain_worker", {"TOLD": "1"}, 65_536, folder / "workers.log")
    return await ask(command, Act(kind=kind), Answers(Acted), tell)


async def test_ask__well_behaved__events_and_result_and_its_prints_in_the_log(tmp_path: Path) -> None:
    told: list[WorkerLine] = []
    done = await act(tmp_path, tell=told.append)
    assert told == [Progress("act", 1, 2)]
    assert {"TOLD", "PYTHONPATH"} <= set(done.environment)
    assert "HOME" not in done.environment
    assert (tmp_path / "workers.log").read_text() == "a library prints\n"


@pytest.mark.parametrize(
    ("kind", "error", "says"),
    [
        ("locked", LockedError, "somebody else has it"),
        ("bug", TrainingError, "ValueError: a bug"),
        ("memory", TrainingError, "not enough memory"),
        ("silent", TrainingError, "ended with status 7 and no result"),
        ("x" * 70_000, TrainingError, "its text is too long"),
        ("nonsense", TrainingError, "answered nonsense"),
        ('{"event":"done","pid":1,"more":1}', TrainingError, "answered nonsense"),
        ('{"event":"token","text":"not asked for"}', TrainingError, "answered nonsense"),
        ('{"event":"progress","phase":1,"step":1,"steps":1}', TrainingError, "answered nonsense"),
        ('{"event":"done","pid":' + "[" * 9_000, TrainingError, "answered nonsense"),
        (
            '{"event":"error","error":"SystemExit","message":"of no class","hint":"none"}',
            TrainingError,
            "of no class",
        ),
    ],
)
async def test_ask__misbehaving_worker__one_named_error(
    tmp_path: Path, kind: str, error: type[VizNodeError], says: str
) -> None:
    with pytest.raises(error, match=says) as caught:
        await act(tmp_path, kind)
    assert type(caught.value) is error
    assert caught.value.hint


async def test_ask__cancelled__the_process_is_gone(tmp_path: Path) -> None:
    seen: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    def tell(line: WorkerLine) -> None:
        if isinstance(line, Progress) and line.loss is not None and not seen.done():
            seen.set_result(int(line.loss))

    task = asyncio.ensure_future(act(tmp_path, "waits", tell))
    pid = await asyncio.wait_for(seen, 20)
    os.kill(pid, 0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_ask__no_such_program__says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", str(tmp_path / "none"))
    with pytest.raises(VizNodeError, match="does not start"):
        await act(tmp_path)
