"""The worker that makes base models and adapters: `python -m viz_node.models.worker`.

SIGTERM during training saves a checkpoint first.
"""

import resource
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeAlias

from viz_node.domain.importing import AdapterImported, AdapterInspected, ImportAdapter, InspectAdapter
from viz_node.domain.pretraining import FetchSources, Pretrain, SourcesFetched
from viz_node.domain.training import (
    AdapterTrained,
    AddBase,
    BaseReady,
    BuildBase,
    InstallBase,
    Train,
    UnpackBase,
)
from viz_node.domain.worker import Progress, WorkerLine
from viz_node.models.bases import read_base, resolve_base
from viz_node.workers.serve import Emit, serve

# Address space, of which the interpreter and numpy take most.
_INSPECTION_BYTES = 2 << 30
Making: TypeAlias = BuildBase | UnpackBase | InstallBase | AddBase | FetchSources | Pretrain
Order: TypeAlias = Making | Train | InspectAdapter | ImportAdapter


def carry_out(order: Order, emit: Emit) -> WorkerLine:
    """The result of an order. Raises: what the order itself raises."""
    return _HANDLERS[type(order)](order, emit)


def _build_base(order: BuildBase, emit: Emit) -> BaseReady:
    from viz_node.models.base_builder import build_base

    return build_base(Path(order.out_dir), order.seed, order.recipe, emit)


def _install_base(order: InstallBase, emit: Emit) -> BaseReady:
    from viz_node.models.hub import install_base

    base = install_base(
        order.source, Path(order.out_dir), lambda phase, step, steps: emit(Progress(phase, step, steps))
    )
    return BaseReady(base.name, base.path, base.digest)


def _add_base(order: AddBase, emit: Emit) -> BaseReady:
    from viz_node.models.folders import add_base

    return add_base(order, emit)


def _unpack_base(order: UnpackBase, _emit: Emit) -> BaseReady:
    from viz_node.models.packed import SHIPPED, unpack

    unpack(SHIPPED, Path(order.out_dir))
    base = read_base(Path(order.out_dir))
    return BaseReady(base.name, base.path, base.digest)


def _fetch_sources(order: FetchSources, emit: Emit) -> SourcesFetched:
    from viz_node.models.pretraining.fetching import fetch_sources

    return fetch_sources(order, emit)


def _pretrain(order: Pretrain, emit: Emit) -> BaseReady:
    from viz_node.models.pretraining.build import pretrain

    return pretrain(order, emit, _stopping())


def _stopping() -> Callable[[], bool]:
    """Whether SIGTERM has come."""
    stopping: list[int] = []
    signal.signal(signal.SIGTERM, lambda number, _frame: stopping.append(number))
    return lambda: bool(stopping)


def _train(order: Train, emit: Emit) -> AdapterTrained:
    is_stopping = _stopping()
    base = resolve_base(order.base)
    import torch

    from viz_node.models.training import TrainOrder, train

    if order.cores:
        torch.set_num_threads(order.cores)

    paths = Path(order.out_dir), Path(order.checkpoint_dir)
    trained = TrainOrder(base, order.texts, order.eval_texts, order.recipe, *paths, order.device)
    return train(trained, emit, is_stopping)


def _inspect(order: InspectAdapter, _emit: Emit) -> AdapterInspected:
    # Whatever a stranger's files make of it, this process holds little.
    resource.setrlimit(resource.RLIMIT_AS, (_INSPECTION_BYTES, _INSPECTION_BYTES))
    from viz_node.models.importing.reading import inspect

    return inspect(Path(order.source))


def _import(order: ImportAdapter, emit: Emit) -> AdapterImported:
    from viz_node.models.importing.take_in import import_adapter

    return import_adapter(order, emit)


_HANDLERS: Mapping[type, Callable[[Any, Emit], WorkerLine]] = {
    BuildBase: _build_base,
    UnpackBase: _unpack_base,
    InstallBase: _install_base,
    AddBase: _add_base,
    FetchSources: _fetch_sources,
    Pretrain: _pretrain,
    Train: _train,
    InspectAdapter: _inspect,
    ImportAdapter: _import,
}

if __name__ == "__main__":
    sys.exit(serve(Order, carry_out))
