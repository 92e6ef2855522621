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

from viz_node.domain.worker import HALT_LINE, Failure, Progress, WorkerLine, WorkerOrder
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
    """A worker process: orders go in, lines come out."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdin is not None
        assert process.stdout is not None
        self._process, self._lines, self._orders = process, process.stdout, process.stdin

    @property
    def pid(self) -> int:
        """Its process."""
        return self._process.pid

    @property
    def is_running(self) -> bool:
        """Whether it has not ended, as far as this process has heard."""
        return self._process.returncode is None

    async def send(self, order: WorkerOrder) -> None:
        """Give it an order; its early death shows at the next line."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._orders.write(_written(order))
            await self._orders.drain()

    async def halt(self) -> None:
        """Have it leave the order that it is at, if it takes several; it says `Halted`."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self._orders.write(HALT_LINE)
            await self._orders.drain()

    def close_orders(self) -> None:
        """It gets no more orders."""
        self._orders.close()

    async def next(self, decoder: msgspec.json.Decoder[Result], timeout_seconds: float | None = None) -> Result | None:
        """Its next line; None once it has ended.

        Raises: TimeoutError, VerificationError (the line is too long, or not of these kinds).
        """
        try:
            # Not wait_for, which in Python 3.11 may swallow a cancellation that comes together with a line.
            async with asyncio.timeout(timeout_seconds):
                line = await self._lines.readline()
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

    async def end(self, grace_seconds: float) -> None:
        """End it, and wait until it is gone; it may use up its grace before it is killed."""
        if not self.is_running:
            return
        with suppress(ProcessLookupError):
            self._process.terminate() if grace_seconds else self._process.kill()
        try:
            async with asyncio.timeout(grace_seconds or None):
                await self._process.wait()
        except TimeoutError:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()


async def launch(command: WorkerCommand) -> Conversation:
    """A worker without an order yet, which the caller ends. Raises: VizNodeError (it does not start)."""
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
    return Conversation(process)


@asynccontextmanager
async def started(command: WorkerCommand, order: WorkerOrder) -> AsyncIterator[Conversation]:
    """A worker with this order, for as long as the block lasts. Raises: VizNodeError (it does not start)."""
    worker = await launch(command)
    try:
        await worker.send(order)
        worker.close_orders()
        yield worker
    finally:
        await worker.end(command.grace_seconds)


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
        raise TrainingError(f"{command.module} ended with status {status} and no result", where_to_look(command))
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
        raise TrainingError(f"{command.module}: {error.message}", where_to_look(command)) from error


def _written(order: WorkerOrder) -> bytes:
    # Paths may hold bytes that are not UTF-8; only escapes carry them.
    return json.dumps(msgspec.to_builtins(order)).encode() + b"\n"


def where_to_look(command: WorkerCommand) -> str:
    """The next step when a worker failed without a reason."""
    return f"read {command.log_path}" if command.log_path else "see the node's log"
