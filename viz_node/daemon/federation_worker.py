"""The worker of one federation: `python -m viz_node.daemon.federation_worker`; the records are in `domain.rounds`.

Composes `viz_node.models.federated` with `viz_node.federation`, which do not know each other.
"""

import logging
import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import TypeAlias

from viz_node.domain.rounds import Coordinate, PartTaken, RoundsRun, TakePart
from viz_node.domain.worker import Progress, WorkerLine
from viz_node.workers.serve import Emit, serve

Order: TypeAlias = Coordinate | TakePart


def set_flower_defaults(home: Path) -> None:
    """Keep Flower from calling out: it reads these when it is imported, so this comes first."""
    defaults = {
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "FLWR_LOG_LEVEL": "WARNING",
        "FLWR_HOME": str(home),
    }
    for name, value in defaults.items():
        os.environ.setdefault(name, value)  # noqa: TID251 - Flower has no other way to be told, and this is its process


def carry_out(order: Order, emit: Emit) -> WorkerLine:
    """The result of an order. Raises: VizNodeError."""
    return coordinate_order(order, emit) if isinstance(order, Coordinate) else member_order(order, emit)


def coordinate_order(order: Coordinate, emit: Emit) -> RoundsRun:
    """Run the coordinator. Raises: VizNodeError."""
    set_flower_defaults(Path(order.state_dir) / "flower")
    from viz_node.federation.coordinator import coordinate

    return coordinate(order, emit)


def member_order(order: TakePart, emit: Emit) -> PartTaken:
    """Train as a member with the resident trainer. Raises: VizNodeError."""
    out_dir = Path(order.out_dir) if order.out_dir else None
    set_flower_defaults(out_dir.parent / "flower" if out_dir else Path.cwd() / "flower")
    from viz_node.federation.member import take_part
    from viz_node.models.bases import resolve_base
    from viz_node.models.federated import FederatedTrainer

    emit(Progress("load", 0, 1))
    base = resolve_base(order.base)
    trainer = FederatedTrainer(base, order.texts, order.eval_texts, order.recipe, order.run_seed, order.device)
    return take_part(order, trainer, emit)


def _on_terminate(number: int, frame: FrameType | None) -> None:
    # An exception rather than a flag: training in progress ends now, and every context is left in order.
    raise SystemExit(128 + number)


def main() -> int:
    """Carry out the order on stdin; the exit status is 0, 1 after an `error` line, 143 after SIGTERM."""
    signal.signal(signal.SIGTERM, _on_terminate)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # Flower has a handler of its own.
    logging.getLogger("flwr").propagate = False
    return serve(Order, carry_out)


if __name__ == "__main__":
    sys.exit(main())
