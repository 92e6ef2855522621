"""Work in processes of its own: models, and the rounds of federations."""

from collections.abc import Callable
from typing import Protocol

from viz_node.domain.importing import AdapterImported, AdapterInspected, ImportAdapter, InspectAdapter
from viz_node.domain.pretraining import FetchSources, Pretrain, SourcesFetched
from viz_node.domain.rounds import Coordinate, PartTaken, RoundsRun, TakePart
from viz_node.domain.training import (
    AdapterTrained,
    AddBase,
    BaseReady,
    BuildBase,
    Generate,
    InstallBase,
    TextWritten,
    Train,
    UnpackBase,
)
from viz_node.domain.worker import WorkerLine

Tell = Callable[[WorkerLine], None]
"""Gets everything that a worker says before its result."""


class Trainer(Protocol):
    """Makes base models and adapters. Raises: the error that the worker names, TrainingError."""

    async def build_base(self, order: BuildBase, tell: Tell) -> BaseReady: ...
    async def install_base(self, order: InstallBase, tell: Tell) -> BaseReady: ...
    async def add_base(self, order: AddBase, tell: Tell) -> BaseReady: ...
    async def unpack_base(self, order: UnpackBase, tell: Tell) -> BaseReady: ...
    async def fetch_sources(self, order: FetchSources, tell: Tell) -> SourcesFetched: ...
    async def pretrain(self, order: Pretrain, tell: Tell) -> BaseReady: ...
    async def train(self, order: Train, tell: Tell) -> AdapterTrained: ...
    async def inspect_adapter(self, order: InspectAdapter) -> AdapterInspected: ...
    async def import_adapter(self, order: ImportAdapter, tell: Tell) -> AdapterImported: ...


class TextWriter(Protocol):
    """Writes texts with adapters: a process that keeps its model, or an engine that serves several prompts at once."""

    async def generate(self, order: Generate, tell: Tell) -> TextWritten:
        """Tell each `TextPiece` as it is written; the pieces together are the text. A cancelled call writes no more.

        Raises: the error that the writer names, TrainingError (it died), DeadlineError (it hung).
        """


class RoundsRunner(Protocol):
    """Both roles in the rounds of a federation. Raises: the error that the worker names, TrainingError."""

    async def coordinate(self, order: Coordinate, tell: Tell) -> RoundsRun: ...
    async def take_part(self, order: TakePart, tell: Tell) -> PartTaken: ...
