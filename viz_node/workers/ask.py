"""The side that starts a worker: gives it one order, reads its bounded lines, and never leaves it behind.

Every line is hostile until it is a record of a kind that the order allows: no unknown kind or key, no line longer than
agreed. A child dies with its parent (PR_SET_PDEATHSIG), runs in its own session, and is ended when the block ends.
"""

import asyncio
import ctypes
import json
import signal
import sys
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, nullcontext, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar, Union

import msgspec

from viz_node.domain.worker import Failure, Progress, WorkerLine, WorkerOrder
from viz_node.errors import TrainingError, VerificationError, VizNodeError, error_from

_PACKAGE_ROOT = Path(__file__).resolve().parents[2]
_PR_SET_PDEATHSIG = 1
Result = TypeVar("Result", bound=WorkerLine)


@dataclass(frozen=True)
class WorkerCommand:
    """How one kind of worker is started; without a log its words are lost, without grace it is killed at once."""

    module: str
    environment: Mapping[str, str]
    max_line_bytes: int
    log_path: Path | None = None
    grace_seconds: float = 0.0


@dataclass(frozen=True)
class Answers(Generic[Result]):
    """What a worker may say to an order: its result at the end, events before."""

    result: type[Result]
    events: tuple[type[WorkerLine], ...] = (Progress,)


class Conversation:
    """A worker that has its order."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        self._process, self._lines = process, process.stdout

    async def next(self, decoder: msgspec.json.Decoder[Result], timeout_seconds: float | None = None) -> Result | None:
        """Its next line; None once it has ended.

        Raises: TimeoutError, VerificationError (the line is too long, or not of these kinds).
        """
        try:
            line = await asyncio.wait_for(self._lines.readline(), timeout_seconds)
        except ValueError as error:
            raise VerificationError("its text is too long") from error
        if not line.endswith(b"\n"):
            return None
        try:
            return decoder.decode(line)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            raise VerificationError("its process answered nonsense") from error

    async def status(self) -> int:
        """Its exit status, once it has ended."""
        return await self._process.wait()


@asynccontextmanager
async def started(command: WorkerCommand, order: WorkerOrder) -> AsyncIterator[Conversation]:
    """A worker with this order, for as long as the block lasts. Raises: VizNodeError (it does not start)."""
    raw = _written(order)
    with command.log_path.open("ab") if command.log_path else nullcontext(asyncio.subprocess.DEVNULL) as log:
        try:
            process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-P", "-m", command.module),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env={**command.environment, "PYTHONPATH": str(_PACKAGE_ROOT)},
                limit=command.max_line_bytes,
                start_new_session=True,
                preexec_fn=die_with_parent,
            )
        except OSError as error:
            raise VizNodeError(f"{command.module} does not start: {error.strerror}", "see `viz-node doctor`") from error
        try:
            assert process.stdin is not None
            with suppress(BrokenPipeError, ConnectionResetError):  # its early death shows at the first line
                process.stdin.write(raw)
                await process.stdin.drain()
            process.stdin.close()
            yield Conversation(process)
        finally:
            await _end(process, command.grace_seconds)


async def ask(
    command: WorkerCommand,
    order: WorkerOrder,
    answers: Answers[Result],
    tell: Callable[[WorkerLine], None],
) -> Result:
    """Give the worker its order, tell its events, and return its result.

    Raises: the VizNodeError that it names, TrainingError (it died without a word, or spoke nonsense).
    """
    decoder: msgspec.json.Decoder[WorkerLine] = msgspec.json.Decoder(Union[(Failure, answers.result, *answers.events)])
    answer: Result | None = None
    async with started(command, order) as worker:
        while (line := await _next(worker, decoder, command)) is not None:
            if isinstance(line, Failure):
                raise error_from(msgspec.structs.asdict(line), unknown=TrainingError)
            if isinstance(line, answers.result):
                answer = line
            else:
                tell(line)
        status = await worker.status()
    if answer is None:
        raise TrainingError(f"{command.module} ended with status {status} and no result", _see(command))
    return answer


def die_with_parent() -> None:
    """For `preexec_fn`: the child gets SIGTERM when its parent dies, however that happens; on Linux only.

    Elsewhere a child notices at its next event that nobody reads them.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


async def _next(
    worker: Conversation, decoder: msgspec.json.Decoder[WorkerLine], command: WorkerCommand
) -> WorkerLine | None:
    try:
        return await worker.next(decoder)
    except VerificationError as error:
        raise TrainingError(f"{command.module}: {error.message}", _see(command)) from error


def _written(order: WorkerOrder) -> bytes:
    # Paths may hold bytes that are not UTF-8; only escapes carry them.
    return json.dumps(msgspec.to_builtins(order)).encode() + b"\n"


def _see(command: WorkerCommand) -> str:
    return f"read {command.log_path}" if command.log_path else "see the node's log"


async def _end(process: asyncio.subprocess.Process, grace_seconds: float) -> None:
    if process.returncode is not None:
        return
    with suppress(ProcessLookupError):
        process.terminate() if grace_seconds else process.kill()
    try:
        await asyncio.wait_for(process.wait(), grace_seconds or None)
    except TimeoutError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
