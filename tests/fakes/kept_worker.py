"""A worker that stays and needs no model: what it is asked for is how it behaves."""

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from viz_node.domain.worker import Progress, TextPiece, WorkerLine, WorkerOrder
from viz_node.errors import TrainingError, UsageError
from viz_node.workers.serve import Emit, serve_in_turn


class Act(WorkerOrder, frozen=True, tag="act"):
    """`kind` of behaviour; `mark` is a file that tells the first process from the next."""

    kind: str = ""
    mark: str = ""


class Acted(WorkerLine, frozen=True, tag="done"):
    """Its process, and how many orders it has carried out."""

    pid: int
    count: int


COUNT = [0]


def carry_out(order: Act, emit: Emit, check: Callable[[], None]) -> Acted:
    COUNT[0] += 1
    emit(Progress("act", 1, 1))
    match order.kind:
        case "wrong":
            raise UsageError("a wrong order")
        case "fails":
            raise TrainingError("it failed")
        case "dies":
            os._exit(7)
        case "dies once" if not Path(order.mark).exists():
            Path(order.mark).touch()
            os._exit(7)
        case "dies while it tells":
            emit(TextPiece("In"))
            os._exit(7)
        case "works":
            emit(TextPiece("In"))
            while True:
                check()
                time.sleep(0.01)
        case "hangs":
            emit(TextPiece("In"))
            time.sleep(60)
    return Acted(os.getpid(), COUNT[0])


if __name__ == "__main__":
    sys.exit(serve_in_turn(Act, carry_out))
