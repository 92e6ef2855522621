"""The side of the worker: one strict JSON order from stdin, JSON lines to stdout, everything else to stderr."""

import json
import os
import sys
import time
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO, TypeVar

import msgspec

from viz_node.domain.worker import Failure, Progress, WorkerLine, WorkerOrder
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
    try:
        result = carry_out(read_order(sys.stdin.buffer, kinds), emit)
    except VizNodeError as error:
        emit(Failure(**describe_error(error)))
        return 1
    except Exception as error:  # noqa: BLE001 - the edge of the process: nothing may leave it but a line
        traceback.print_exc()
        emit(unforeseen(error))
        return 1
    if result is not None:
        emit(result)
    return 0


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
    raw = stream.read(MAX_ORDER_BYTES + 1)
    if len(raw) > MAX_ORDER_BYTES:
        raise UsageError("the order is larger than 256 MiB")
    try:
        return msgspec.convert(json.loads(raw), kinds)
    except (ValueError, RecursionError, msgspec.ValidationError) as error:
        raise UsageError(f"the order is malformed: {error}") from error
