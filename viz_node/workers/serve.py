"""The side of the worker: strict JSON orders from stdin, JSON lines to stdout, everything else to stderr."""

import json
import os
import queue
import sys
import threading
import time
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO, Generic, TypeAlias, TypeVar

import msgspec

from viz_node.domain.worker import HALT_LINE, Failure, Halted, Progress, WorkerLine, WorkerOrder
from viz_node.errors import UsageError, VizNodeError, describe_error

MAX_ORDER_BYTES = 256 * 1024 * 1024
PROGRESS_SECONDS = 0.25
Order = TypeVar("Order", bound=WorkerOrder)
Emit = Callable[[WorkerLine], None]


class LineWriter:
    """Writes records as JSON lines; of progress at most one per phase and PROGRESS_SECONDS, and the last."""

    def __init__(self, stream: BinaryIO) -> None:
        self._stream = stream
        self._last: dict[str, float] = {}

    def __call__(self, line: WorkerLine) -> None:
        if isinstance(line, Progress):
            now = time.monotonic()
            if line.step < line.steps and now - self._last.get(line.phase, -1e9) < PROGRESS_SECONDS:
                return
            self._last[line.phase] = now
        self._stream.write(msgspec.json.encode(line))
        self._stream.write(b"\n")
        self._stream.flush()


def serve(kinds: Any, carry_out: Callable[[Order, Emit], WorkerLine | None]) -> int:
    """Carry out the order on stdin, one of these kinds; the exit status is 0, or 1 after an `error` line."""
    emit = take_stdout()
    result = _carried_out(lambda: carry_out(read_order(sys.stdin.buffer, kinds), emit))
    if result is not None:
        emit(result)
    return 1 if isinstance(result, Failure) else 0


class HaltError(Exception):
    """The parent wants no more of what it ordered."""


class Inbox(Generic[Order]):
    """Orders on a stream, a line each; a thread of its own reads them, so that a halt is heard during the work."""

    def __init__(self, stream: BinaryIO, kinds: Any) -> None:
        self._stream, self._kinds = stream, kinds
        self._orders: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._is_halted = False
        threading.Thread(target=self._read, daemon=True).start()

    def next(self) -> Order | None:
        """The next order, waited for; None at the end of the stream. Raises: UsageError (it is none)."""
        raw = self._orders.get()
        order: Order | None = parse_order(raw, self._kinds) if raw else None
        return order

    def check(self) -> None:
        """Raises: HaltError (the parent wants no more of the order that came last, or is gone)."""
        if self._is_halted:
            raise HaltError

    def _read(self) -> None:
        while self._take(self._stream.readline(MAX_ORDER_BYTES + 1)):
            pass

    def _take(self, line: bytes) -> bool:
        # The parent gives one order at a time, so a halt is for the last one; an idle worker passes it over.
        self._is_halted = line in (HALT_LINE, b"")
        if line != HALT_LINE:
            self._orders.put(line)
        return line != b""


CarryOut: TypeAlias = Callable[[Order, Emit, Callable[[], None]], WorkerLine]
"""The result of an order; the third argument raises `HaltError` once the parent wants no more of it."""


def serve_in_turn(kinds: Any, carry_out: CarryOut[Order]) -> int:
    """Carry out orders of these kinds from stdin, one after another until it ends; to each one result or `error`."""
    emit = take_stdout()
    inbox = Inbox[Order](sys.stdin.buffer, kinds)
    while _answer_next(inbox, emit, carry_out):
        pass
    return 0


def _answer_next(inbox: Inbox[Order], emit: Emit, carry_out: CarryOut[Order]) -> bool:
    """Whether there was one; nothing of it is kept."""

    def work() -> WorkerLine | None:
        order = inbox.next()
        return None if order is None else carry_out(order, emit, inbox.check)

    answer = _carried_out(work)
    if answer is not None:
        emit(answer)
    return answer is not None


def _carried_out(work: Callable[[], WorkerLine | None]) -> WorkerLine | None:
    """What the work results in, or why it does not."""
    try:
        return work()
    except VizNodeError as error:
        return Failure(**describe_error(error))
    except HaltError:
        return Halted()
    except Exception as error:  # noqa: BLE001 - the edge of the process: nothing may leave it but a line
        traceback.print_exc()
        return unforeseen(error)


def unforeseen(error: Exception) -> Failure:
    """What a person is told of an error that nobody expected; torch tells of memory in errors of its own."""
    text = str(error)
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in text:
        where = "the GPU" if "CUDA" in text else "this machine"
        return Failure(
            "TrainingError",
            f"not enough memory on {where}",
            "use a smaller base model, or fewer max_tokens in the recipe",
        )
    return Failure("TrainingError", f"{type(error).__name__}: {text}", "see the worker's log")


def take_stdout() -> LineWriter:
    """The only way to the parent from here on: libraries print, and what they print goes to stderr."""
    lines = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return LineWriter(lines)


def read_order(stream: BinaryIO, kinds: Any) -> Any:
    """The order on the stream, of one of the kinds. Raises: UsageError."""
    return parse_order(stream.read(MAX_ORDER_BYTES + 1), kinds)


def parse_order(raw: bytes, kinds: Any) -> Any:
    """The order that these bytes are, of one of the kinds. Raises: UsageError."""
    if len(raw) > MAX_ORDER_BYTES:
        raise UsageError("the order is larger than 256 MiB")
    try:
        return msgspec.convert(json.loads(raw), kinds)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise UsageError(f"the order is malformed: {error}") from error
