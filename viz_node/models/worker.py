"""The child process for everything with torch: one JSON order on stdin, JSON-line events on stdout, logs on stderr.

`python -m viz_node.models.worker` ends with a `done` event and exit status 0, or an `error` event and exit status 1.
SIGTERM during training saves a checkpoint first.
"""

import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, TextIO

from viz_node.domain.recipe import parse_recipe
from viz_node.errors import TrainingError, UsageError, VizNodeError, describe_error
from viz_node.models.bases import base_shapes, resolve_base

MAX_ORDER_BYTES = 256 * 1024 * 1024
PROGRESS_SECONDS = 0.25


class EventWriter:
    """Writes events to a stream as JSON lines; of progress at most one per phase and PROGRESS_SECONDS, and the last."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._last: dict[str, float] = {}

    def __call__(self, event: dict[str, Any]) -> None:
        if event["event"] == "progress":
            now, phase = time.monotonic(), event["phase"]
            if event["step"] < event["steps"] and now - self._last.get(phase, -1e9) < PROGRESS_SECONDS:
                return
            self._last[phase] = now
        self._stream.write(json.dumps(event, ensure_ascii=False) + "\n")
        self._stream.flush()


def main() -> int:
    """Carry out the order on stdin; returns the exit status."""
    # libraries print; only events may reach the parent's pipe
    events = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    emit = EventWriter(events)
    try:
        result = carry_out(read_order(sys.stdin.buffer), emit)
    except VizNodeError as error:
        emit({"event": "error", **describe_error(error)})
        return 1
    except Exception as error:  # noqa: BLE001 (the edge of the process: nothing may leave it but an event)
        traceback.print_exc()
        message = f"{type(error).__name__}: {error}"
        emit({"event": "error", "error": "TrainingError", "message": message, "hint": "see the job's log"})
        return 1
    emit({"event": "done", **result})
    return 0


def read_order(stream: BinaryIO) -> dict[str, Any]:
    """The JSON order on the stream. Raises: UsageError."""
    raw = stream.read(MAX_ORDER_BYTES + 1)
    try:
        order = json.loads(raw) if len(raw) <= MAX_ORDER_BYTES else None
    except ValueError as error:
        raise UsageError(f"the order is not JSON: {error}") from error
    if not isinstance(order, dict):
        raise UsageError("the order is not a JSON object of at most 256 MiB")
    return order


def carry_out(order: dict[str, Any], emit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """The result of an order. Raises: UsageError (unknown or incomplete order), and what the order itself raises."""
    orders = {
        "build_base": _build_base,
        "install_base": _install_base,
        "describe_base": _describe_base,
        "train": _train,
        "generate": _generate,
        "self_test": _self_test,
    }
    kind = order.get("order", order.get("kind"))
    if kind not in orders:
        raise UsageError(f"unknown order {kind!r}", f"known are {', '.join(orders)}")
    try:
        return orders[kind](order, emit)
    except KeyError as error:
        raise UsageError(f"order {kind} lacks {error}") from error
    except MemoryError as error:
        raise TrainingError("not enough memory", "use a smaller base model or fewer tokens per document") from error


def _build_base(order: dict[str, Any], emit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    from viz_node.models.base_builder import build_base

    return build_base(Path(order["out_dir"]), order.get("seed", 0), order.get("recipe"), emit)


def _install_base(order: dict[str, Any], emit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    from viz_node.models.hub import install_base

    def tell(phase: str, step: int, steps: int) -> None:
        emit({"event": "progress", "phase": phase, "step": step, "steps": steps})

    return install_base(order["source"], Path(order["out_dir"]), tell)


def _describe_base(order: dict[str, Any], _emit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    base = resolve_base(order["base"])
    config = json.loads((base.directory / "config.json").read_bytes())
    shapes = base_shapes(base.directory)
    return {
        "name": base.name,
        "path": order["base"]["path"],
        "digest": base.digest,
        "architecture": config.get("model_type", ""),
        "layers": config.get("num_hidden_layers", 0),
        "hidden_size": config.get("hidden_size", 0),
        "vocabulary": config.get("vocab_size", 0),
        "context": config.get("max_position_embeddings", 0),
        "adaptable_parameters": sum(outputs * inputs for outputs, inputs in shapes.values()),
    }


def _train(order: dict[str, Any], emit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopping.append(number))
    recipe = parse_recipe(order.get("recipe"), order.get("goldfish") or 0)
    base = resolve_base(order["base"])
    from viz_node.models.training import TrainOrder, train

    paths = Path(order["out_dir"]), Path(order["checkpoint_dir"])
    return train(
        TrainOrder(base, order["texts"], order.get("eval_texts", []), recipe, *paths), emit, lambda: bool(stopping)
    )


def _generate(order: dict[str, Any], emit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    from viz_node.models.inference import generate
    from viz_node.models.loading import load_adapter, load_base, load_tokenizer

    emit({"event": "progress", "phase": "load", "step": 0, "steps": 1})
    base = resolve_base(order["base"])
    model = load_base(base.directory).eval()
    if order.get("adapter_dir"):
        model = load_adapter(model, base, Path(order["adapter_dir"]), order.get("adapter_digest") or "")
    started = time.perf_counter()
    result = generate(
        model,
        load_tokenizer(base.directory),
        order["prompt"],
        order.get("max_new_tokens", 64),
        (order.get("temperature", 0.0), order.get("seed", 0)),
        lambda text: emit({"event": "token", "text": text}),
    )
    seconds = time.perf_counter() - started
    return {**result, "seconds": round(seconds, 2), "tokens_per_second": round(result["tokens"] / seconds, 1)}


def _self_test(_order: dict[str, Any], _emit: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    from viz_node.models.loading import self_test

    return self_test()


if __name__ == "__main__":
    sys.exit(main())
