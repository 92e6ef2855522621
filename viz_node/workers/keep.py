"""A worker that stays for the next order: started when one comes, ended when it was idle, or when its memory is wanted.

Its process carries out one order at a time. It is ended after every failure but a wrong order, so that nothing of a
failed answer can reach the next one; when it says nothing for too long; and when it does not stop at once once its
caller has gone. A process that died between two orders is replaced unnoticed; one that dies during its answer is
replaced once, if nothing of the answer was told yet. `tests/integration/test_kept_worker.py`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Union

import msgspec

from viz_node.domain.worker import Failure, Halted, Progress, WorkerLine, WorkerOrder
from viz_node.errors import DeadlineError, TrainingError, UsageError, VerificationError, VizNodeError, error_from
from viz_node.workers.ask import Answers, Conversation, Result, WorkerCommand, launch, where_to_look


@dataclass(frozen=True)
class Patience:
    """How long a worker may be idle, say nothing during an answer, and take to leave its work."""

    idle_seconds: float = 300.0
    silent_seconds: float = 300.0
    halt_seconds: float = 1.0


@dataclass(frozen=True)
class Kept:
    """A process that waits, for so many seconds, or is at an order."""

    pid: int
    idle_seconds: float
    is_busy: bool


class _DiedError(Exception):
    """It gave no result; the text says how it ended."""


class KeptWorker:
    """One process for many orders, which wait for their turn, the first first."""

    def __init__(self, command: Callable[[], WorkerCommand], patience: Patience) -> None:
        self._command, self._patience = command, patience
        self._turn = asyncio.Lock()
        self._worker: Conversation | None = None
        self._idle_since = 0.0
        self._expiry: asyncio.TimerHandle | None = None
        self._endings: set[asyncio.Task[None]] = set()
        self._callers = self._wanted = 0
        self._is_closed = False
        self.trouble = ""
        """Why no process could be started, the last time one was needed; empty if one could."""

    @property
    def kept(self) -> Kept | None:
        """The process, if there is one."""
        if self._worker is None or not self._worker.is_running:
            return None
        return Kept(self._worker.pid, time.monotonic() - self._idle_since, bool(self._callers))

    async def ask(self, order: WorkerOrder, answers: Answers[Result], tell: Callable[[WorkerLine], None]) -> Result:
        """Give it the order when its turn comes, tell its events, and return its result.

        A caller that is cancelled stops the work. Raises: the VizNodeError that the worker names, TrainingError (it
        died, or spoke nonsense), DeadlineError (it hung).
        """
        async with self._turns():
            heard: set[type[WorkerLine]] = set()

            def hear(line: WorkerLine) -> None:
                heard.add(type(line))
                self.trouble = ""
                tell(line)

            if self._worker is not None and self._worker.is_running:
                try:
                    return await self._answered(self._worker, order, answers, hear)
                except _DiedError as death:
                    if heard - {Progress}:
                        raise self._error(death) from death
            worker = await self._start()
            try:
                return await self._answered(worker, order, answers, hear)
            except _DiedError as death:
                self.trouble = "" if heard else str(death)
                raise self._error(death) from death

    @asynccontextmanager
    async def _turns(self) -> AsyncIterator[None]:
        self._callers += 1
        try:
            async with self._turn:
                if self._expiry is not None:
                    self._expiry.cancel()
                    self._expiry = None
                yield
        finally:
            self._callers -= 1
            if not self._callers:
                self._rest()

    @asynccontextmanager
    async def room(self) -> AsyncIterator[None]:
        """No process waits while the block lasts: its memory is free now, or once its answer is written."""
        self._wanted += 1
        try:
            if not self._callers:
                self._let_go()
            await self._gone()
            yield
        finally:
            self._wanted -= 1

    async def close(self) -> None:
        """End the process, also in the middle of an answer; no other one is started."""
        self._is_closed = True
        self._let_go()
        await self._gone()

    async def _start(self) -> Conversation:
        if self._is_closed:
            raise VizNodeError("the node is stopping", "start it again: viz-node start")
        try:
            self._worker = await launch(self._command())
        except VizNodeError as error:
            self.trouble = error.message
            raise
        return self._worker

    async def _answered(
        self, worker: Conversation, order: WorkerOrder, answers: Answers[Result], hear: Callable[[WorkerLine], None]
    ) -> Result:
        """The result; after any failure but a wrong order the process is let go. Raises: _DiedError, and as `ask`."""
        decoder: msgspec.json.Decoder[WorkerLine] = msgspec.json.Decoder(
            Union[(Failure, Halted, answers.result, *answers.events)]
        )
        try:
            await worker.send(order)
            while not isinstance(line := await self._next(worker, decoder), answers.result):
                if isinstance(line, Failure):
                    raise error_from(msgspec.structs.asdict(line), unknown=TrainingError)
                hear(line)
            return line
        except asyncio.CancelledError:
            await self._halt(worker, decoder, (Halted, answers.result))
            raise
        except BaseException as error:
            if not isinstance(error, UsageError):
                self._let_go()
            raise

    async def _next(self, worker: Conversation, decoder: msgspec.json.Decoder[WorkerLine]) -> WorkerLine:
        """Its next line. Raises: _DiedError, DeadlineError (it hangs)."""
        try:
            line = await worker.next(decoder, self._patience.silent_seconds)
        except VerificationError as error:
            raise _DiedError(error.message) from error
        except TimeoutError as error:
            told = f"the model's process said nothing for {self._patience.silent_seconds:g} s and was ended"
            raise DeadlineError(told, self._next_step()) from error
        if line is None:
            status = await worker.status()
            raise _DiedError("it was killed, perhaps for want of memory" if status == -9 else f"it ended with {status}")
        return line

    async def _halt(
        self, worker: Conversation, decoder: msgspec.json.Decoder[WorkerLine], ends: tuple[type[WorkerLine], ...]
    ) -> None:
        """Have it leave its work; if it does not at once, it is let go."""
        line: WorkerLine | None = None
        try:
            async with asyncio.timeout(self._patience.halt_seconds):
                await worker.halt()
                while not isinstance(line, (Failure, *ends)):
                    line = await self._next(worker, decoder)
        except (TimeoutError, DeadlineError, _DiedError):
            pass
        finally:
            if not isinstance(line, ends):
                self._let_go()

    def _error(self, death: _DiedError) -> TrainingError:
        return TrainingError(f"the model's process failed: {death}", self._next_step())

    def _next_step(self) -> str:
        return f"ask again; if that fails, too, {where_to_look(self._command())}"

    def _rest(self) -> None:
        """Nobody is in the queue: wait for an order for a while, unless the memory is wanted."""
        self._idle_since = time.monotonic()
        if self._wanted or not self._patience.idle_seconds:
            self._let_go()
        else:
            self._expiry = asyncio.get_running_loop().call_later(self._patience.idle_seconds, self._expire)

    def _expire(self) -> None:
        self._expiry = None
        if not self._callers:
            self._let_go()

    def _let_go(self) -> None:
        """Begin the end of the process; its caller, or `_gone`, need not wait for it."""
        worker, self._worker = self._worker, None
        if worker is not None:
            ending = asyncio.get_running_loop().create_task(worker.end(0.0))
            self._endings.add(ending)
            ending.add_done_callback(self._endings.discard)

    async def _gone(self) -> None:
        if self._endings:
            await asyncio.wait(self._endings)
