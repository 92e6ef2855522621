"""A worker that needs no model: it says what it is told to say, and ends as it is told to end."""

import os
import sys
import time

from viz_node.domain.worker import Progress, WorkerLine, WorkerOrder
from viz_node.errors import LockedError
from viz_node.workers.serve import Emit, serve


class Act(WorkerOrder, frozen=True, tag="act"):
    """`kind` of misbehaviour, or none."""

    kind: str = ""


class Acted(WorkerLine, frozen=True, tag="done"):
    """Its process, and what it saw of its surroundings."""

    pid: int
    environment: tuple[str, ...] = ()


def carry_out(order: Act, emit: Emit) -> Acted:
    print("a library prints")
    emit(Progress("act", 1, 2))
    match order.kind:
        case "locked":
            raise LockedError("somebody else has it", "wait")
        case "bug":
            raise ValueError("a bug")
        case "memory":
            raise MemoryError
        case "silent":
            os._exit(7)
        case "waits":
            emit(Progress("act", 2, 2, loss=float(os.getpid())))
            time.sleep(60)
        case "":
            pass
        case raw:
            os.write(_STDOUT, raw.encode() + b"\n")
    return Acted(os.getpid(), tuple(sorted(os.environ)))


if __name__ == "__main__":
    _STDOUT = os.dup(1)
    sys.exit(serve(Act, carry_out))
