"""Child process of one federation: one JSON order on stdin, JSON-line events on stdout, logs on stderr.

Orders are `coordinate` and `member`; the fields are those of `CoordinatorOrder` and `MemberOrder` in plain JSON.
Composes `viz_node.models.federated` with `viz_node.federation`, which do not know each other.
"""

import json
import logging
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from viz_node.errors import UsageError, VizNodeError, describe_error
from viz_node.federation.trainer import Agreement, Layout

_log = logging.getLogger(__name__)

Report = Callable[[dict[str, Any]], None]

_EVERY = ("run_id", "terms_digest", "rounds")
_COORDINATE = (*_EVERY, "state_dir", "members", "min_members")
_MEMBER = (*_EVERY, "fleet_address", "base", "texts", "eval_texts", "recipe", "run_seed")
_SECONDS = ("join_seconds", "round_seconds", "straggler_seconds", "closing_seconds", "patience_seconds")


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


def coordinate_order(order: dict[str, Any], report: Report) -> dict[str, Any]:
    """Run the coordinator. Raises: VizNodeError."""
    _require(order, _COORDINATE)
    state_dir = Path(order["state_dir"])
    set_flower_defaults(state_dir / "flower")
    from viz_node.federation.coordinator import CoordinatorOrder, coordinate

    digest, size = order.get("layout_digest"), order.get("vector_size")
    limits = {name: float(order[name]) for name in (*_SECONDS, "max_rms_change") if name in order}
    return coordinate(
        CoordinatorOrder(
            agreement=Agreement(order["run_id"], order["terms_digest"]),
            state_dir=state_dir,
            rounds=int(order["rounds"]),
            members=int(order["members"]),
            min_members=int(order["min_members"]),
            weight_cap=int(order.get("weight_cap", 1_000_000)),
            layout=Layout(digest, int(size)) if digest and size else None,
            fleet_port=int(order.get("fleet_port", 0)),
            database=Path(order["database"]) if order.get("database") else None,
            **limits,
        ),
        report,
    )


def member_order(order: dict[str, Any], report: Report) -> dict[str, Any]:
    """Train as a member with the resident trainer. Raises: VizNodeError."""
    _require(order, _MEMBER)
    out_dir = Path(order["out_dir"]) if order.get("out_dir") else None
    if order.get("flower_home"):
        set_flower_defaults(Path(order["flower_home"]))
    else:
        set_flower_defaults(out_dir.parent / "flower" if out_dir else Path.cwd() / "flower")
    from viz_node.domain.recipe import parse_recipe
    from viz_node.federation.member import MemberOrder, take_part
    from viz_node.models.bases import resolve_base
    from viz_node.models.federated import FederatedTrainer

    report({"event": "progress", "phase": "load", "step": 0, "steps": 1})
    recipe = parse_recipe(order["recipe"], int(order.get("goldfish") or 0))
    base = resolve_base(order["base"])
    trainer = FederatedTrainer(base, order["texts"], order["eval_texts"], recipe, order["run_seed"])
    part = MemberOrder(
        address=order["fleet_address"],
        agreement=Agreement(order["run_id"], order["terms_digest"]),
        rounds=int(order["rounds"]),
        name=str(order.get("name", "")),
        evaluate_final=bool(order.get("final", True)),
        out_dir=out_dir,
        patience_seconds=float(order.get("patience_seconds", 86_400.0)),
    )
    return take_part(part, trainer, report)


def _require(order: dict[str, Any], names: tuple[str, ...]) -> None:
    missing = [name for name in names if order.get(name) is None]
    if missing:
        raise UsageError(f"the order lacks {', '.join(missing)}")


def _on_terminate(number: int, frame: FrameType | None) -> None:
    # An exception rather than a flag: training in progress ends now, and every context is left in order.
    raise SystemExit(128 + number)


def main() -> int:
    """Carry out the order on stdin; the exit status is 0, 1 after an `error` event, 143 after SIGTERM."""
    events = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    signal.signal(signal.SIGTERM, _on_terminate)
    logging.basicConfig(stream=sys.stderr, level=logging.INFO, format="%(levelname)s %(name)s %(message)s")
    logging.getLogger("httpx").setLevel(logging.WARNING)
    # Flower has a handler of its own.
    logging.getLogger("flwr").propagate = False

    def report(event: dict[str, Any]) -> None:
        events.write(json.dumps(event) + "\n")
        events.flush()

    try:
        order = json.loads(sys.stdin.readline())
        actions = {"coordinate": coordinate_order, "member": member_order}
        action = actions.get(order.get("order", order.get("kind", "")))
        if action is None:
            raise UsageError("the order is neither coordinate nor member")
        report({"event": "done", **action(order, report)})
    except VizNodeError as error:
        report({"event": "error", **describe_error(error)})
        return 1
    except Exception as error:  # noqa: BLE001 - the edge of the process: the parent must learn of it as an event
        _log.exception("the federation worker failed")
        report({"event": "error", "error": "TrainingError", "message": str(error), "hint": "see the worker's log"})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
