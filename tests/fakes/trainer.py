"""Models as the services see them, without any model."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bases import listed_sources
from viz_node.domain.answer import as_json
from viz_node.domain.hub import parse_hub_model
from viz_node.domain.importing import AdapterImported, AdapterInspected, ImportAdapter, InspectAdapter
from viz_node.domain.pretraining import FetchSources, Pretrain, SourcesFetched
from viz_node.domain.report import Measured
from viz_node.domain.rounds import Coordinate, PartTaken, RoundsRun, TakePart
from viz_node.domain.training import (
    SHIPPED_BASE,
    AdapterTrained,
    AddBase,
    BaseReady,
    BuildBase,
    Facts,
    Generate,
    InstallBase,
    InstalledBase,
    TextWritten,
    Train,
    UnpackBase,
)
from viz_node.domain.worker import Progress, TextPiece
from viz_node.ports.workers import Tell


class MemoryTrainer:
    """Fits `ports.Trainer`: `orders` are what it was told, `bases` what is installed, `failure` how a training ends."""

    def __init__(self, bases: list[InstalledBase]) -> None:
        self.bases = bases
        self.orders: list[Any] = []
        self.training: Facts = {"steps": 3}
        self.measured = Measured()
        self.failure: Exception | None = None
        self.inspected = AdapterInspected(
            "ab" * 32, "small", "", 8, 16, 4, ("mlp.up_proj",), 100, (), (), ("README.md",)
        )

    async def build_base(self, order: BuildBase, tell: Tell) -> BaseReady:
        self.orders.append(order)
        self.bases.append(InstalledBase(order.recipe.name, "ee" * 32, "CC0-1.0", 1, order.out_dir, listed_sources()))
        return BaseReady(order.recipe.name, order.out_dir, "ee" * 32)

    async def install_base(self, order: InstallBase, tell: Tell) -> BaseReady:
        self.orders.append(order)
        model = parse_hub_model(order.source)
        source = {"kind": "model hub", "name": model.repository, "commit": model.commit}
        facts: dict[str, object] = {"sources": [source]}
        self.bases.append(InstalledBase(order.source, "dd" * 32, "mit", 1, order.out_dir, facts))
        return BaseReady(order.source, order.out_dir, "dd" * 32)

    async def add_base(self, order: AddBase, tell: Tell) -> BaseReady:
        self.orders.append(order)
        source: dict[str, object] = {"kind": "local folder"}
        if order.stated is not None:
            source["stated"] = as_json(order.stated)
        facts: dict[str, object] = {"sources": [source]}
        self.bases.append(InstalledBase(order.name, "bd" * 32, order.license, 1, order.out_dir, facts))
        return BaseReady(order.name, order.out_dir, "bd" * 32)

    async def unpack_base(self, order: UnpackBase, tell: Tell) -> BaseReady:
        self.orders.append(order)
        self.bases.append(InstalledBase(SHIPPED_BASE, "ff" * 32, "CC0-1.0", 1, order.out_dir, listed_sources()))
        return BaseReady(SHIPPED_BASE, order.out_dir, "ff" * 32)

    async def fetch_sources(self, order: FetchSources, tell: Tell) -> SourcesFetched:
        self.orders.append(order)
        for source in order.sources:
            if source.url:
                Path(order.directory).mkdir(parents=True, exist_ok=True)
                (Path(order.directory) / source.file_name()).write_text(source.title)
        return SourcesFetched(1)

    async def pretrain(self, order: Pretrain, tell: Tell) -> BaseReady:
        self.orders.append(order)
        if self.failure is not None:
            raise self.failure
        self.bases.append(
            InstalledBase(order.listed.name, "cc" * 32, order.listed.license, 1, order.out_dir, as_json(order.listed))
        )
        return BaseReady(order.listed.name, order.out_dir, "cc" * 32)

    async def train(self, order: Train, tell: Tell) -> AdapterTrained:
        self.orders.append(order)
        tell(Progress("train", 1, 3, loss=2.5))
        if self.failure is not None:
            raise self.failure
        return AdapterTrained(order.out_dir, {}, self.training, {"perplexity_after": "2"}, self.measured)

    async def inspect_adapter(self, order: InspectAdapter) -> AdapterInspected:
        self.orders.append(order)
        return self.inspected

    async def import_adapter(self, order: ImportAdapter, tell: Tell) -> AdapterImported:
        self.orders.append(order)
        tell(Progress("compare", 0, 1))
        if self.failure is not None:
            raise self.failure
        facts: Facts = {"method": "imported", "origin": "imported, training not witnessed"}
        return AdapterImported(order.out_dir, {}, facts, {"tokens": 5} if order.eval_texts else {}, ("a note",))


class MemoryWriter:
    """Fits `ports.TextWriter`: `orders` are what it was told; `after_first` is called after its first piece."""

    def __init__(self) -> None:
        self.orders: list[Generate] = []
        self.after_first: Callable[[], object] = lambda: None

    async def generate(self, order: Generate, tell: Tell) -> TextWritten:
        self.orders.append(order)
        tell(Progress("write", 1, order.max_new_tokens))
        tell(TextPiece("In"))
        self.after_first()
        tell(TextPiece(" year 1"))
        return TextWritten("In year 1", 3, 1, "length")


class EchoWriter(MemoryWriter):
    """Writes what it was asked, which it keeps in `prompts`."""

    def __init__(self, prompts: list[str]) -> None:
        super().__init__()
        self._prompts = prompts

    async def generate(self, order: Generate, tell: Tell) -> TextWritten:
        self._prompts.append(order.prompt)
        return TextWritten(f"{order.prompt} … {order.max_new_tokens}", 1, 1, "stop")


class NoRounds:
    """Fits `ports.RoundsRunner` where no federation is."""

    async def coordinate(self, order: Coordinate, tell: Tell) -> RoundsRun:
        raise AssertionError("there is no federation here")

    async def take_part(self, order: TakePart, tell: Tell) -> PartTaken:
        raise AssertionError("there is no federation here")
