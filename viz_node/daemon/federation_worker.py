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
from viz_node.federation.trainer import Agreement, Layout
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
    state_dir = Path(order.state_dir)
    set_flower_defaults(state_dir / "flower")
    from viz_node.federation.coordinator import CoordinatorOrder, coordinate

    is_fixed = order.layout_digest and order.vector_size
    return coordinate(
        CoordinatorOrder(
            agreement=Agreement(order.run_id, order.terms_digest),
            state_dir=state_dir,
            rounds=order.rounds,
            members=order.members,
            min_members=order.min_members,
            weight_cap=order.weight_cap,
            layout=Layout(order.layout_digest, order.vector_size) if is_fixed else None,
            fleet_port=order.fleet_port,
            database=Path(order.database) if order.database else None,
            max_rms_change=order.max_rms_change,
            join_seconds=order.join_seconds,
            round_seconds=order.round_seconds,
            straggler_seconds=order.straggler_seconds,
            closing_seconds=order.closing_seconds,
            patience_seconds=order.patience_seconds,
        ),
        emit,
    )


def member_order(order: TakePart, emit: Emit) -> PartTaken:
    """Train as a member with the resident trainer. Raises: VizNodeError."""
    out_dir = Path(order.out_dir) if order.out_dir else None
    set_flower_defaults(out_dir.parent / "flower" if out_dir else Path.cwd() / "flower")
    from viz_node.federation.member import MemberOrder, take_part
    from viz_node.models.bases import resolve_base
    from viz_node.models.federated import FederatedTrainer

    emit(Progress("load", 0, 1))
    base = resolve_base(order.base)
    trainer = FederatedTrainer(base, order.texts, order.eval_texts, order.recipe, order.run_seed)
    part = MemberOrder(
        address=order.fleet_address,
        agreement=Agreement(order.run_id, order.terms_digest),
        rounds=order.rounds,
        name=order.name,
        out_dir=out_dir,
        patience_seconds=order.patience_seconds,
    )
    return take_part(part, trainer, emit)


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
