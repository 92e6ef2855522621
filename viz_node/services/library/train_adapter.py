"""Base models and adapters: built and trained by child processes, kept in the library."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

from viz_node.domain.base_catalogue import find_entry
from viz_node.domain.hours import parse_hours
from viz_node.domain.hub import is_hub_name, parse_hub_model
from viz_node.domain.ids import AdapterId
from viz_node.domain.job import Job
from viz_node.domain.names import FilePath
from viz_node.domain.orders import BuildBaseOrder, TrainOrder
from viz_node.domain.recipe import BaseRecipe
from viz_node.domain.records import AdapterRecord
from viz_node.domain.training import (
    BaseModel,
    BuildBase,
    Facts,
    InstallBase,
    InstalledBase,
    ListedBase,
    Train,
    is_worse_than_base,
    listed_base,
)
from viz_node.errors import NotFoundError, UsageError
from viz_node.ports.state import WithAdapters, WithSettings
from viz_node.ports.workers import Trainer
from viz_node.services.library.clear_bases import Clearance, called, find_installed
from viz_node.services.library.keep_hours import within
from viz_node.services.library.look_up import adapter_named
from viz_node.services.library.manage_works import WorkShelf
from viz_node.services.library.report_training import Reports
from viz_node.services.part import Report

ListBases = Callable[[], list[InstalledBase]]
SplitTexts = Callable[[Mapping[str, str], int], tuple[list[str], list[str]]]
_DEFAULT_BASE = "default_base"


@dataclass(frozen=True)
class BuiltBase:
    """The base model that a job has built."""

    base: InstalledBase


@dataclass(frozen=True)
class ShownAdapter:
    """An adapter of this library as people see it; `works` is how many it learnt from."""

    name: str
    adapter_id: AdapterId | None
    base: str
    base_digest: str
    origin: str
    state: str
    works: int
    training: Facts
    evaluation: Facts
    published: bool
    price: None
    created: int


@dataclass(frozen=True)
class ModelTools:
    """What makes and lists models, and what divides texts into those to train on and those to evaluate with."""

    trainer: Trainer
    list_bases: ListBases
    split_texts: SplitTexts
    minute_of_day: Callable[[], int] = lambda: 0
    """By the clock on the wall."""


class WorkshopState(WithAdapters, WithSettings, Protocol):
    """The adapters, and the base model of the owner's choice."""


class Workshop:
    """Base models and what is trained on them, in the processes of a `Trainer`."""

    def __init__(
        self,
        store: WorkshopState,
        works: WorkShelf,
        reports: Reports,
        directory: Path,
        tools: ModelTools,
    ) -> None:
        self._store, self._works, self._reports, self._directory = store, works, reports, directory
        self._trainer, self.bases, self._split_texts = tools.trainer, tools.list_bases, tools.split_texts
        self._minute_of_day = tools.minute_of_day
        self.clearance = Clearance(store.settings, tools.list_bases)

    def find_base(self, name: str | None) -> BaseModel:
        """The base model of that name, its own or the catalogue's, or of that digest, or the default one.

        One of a model hub that is not installed yet has neither path nor digest: training installs it.
        Raises: NotFoundError, UsageError (not pinned).
        """
        wanted = name if name is not None else self.settle_default()
        digits = (wanted or "").lower()
        matching = [base for base in self.bases() if base.name == wanted or base.digest == digits]
        if not matching and name is None and wanted is not None:
            raise NotFoundError(
                f"the default base model {wanted[:12]}… is not installed",
                "install it again, or: viz-node base use NAME",
            )
        if not matching and name is not None:
            matching = called(self.bases(), name)
        if not matching and name is not None:
            entry = find_entry(name)
            wanted = entry.full_name() if entry is not None and not entry.unusable else name
            if is_hub_name(wanted):
                return BaseModel(str(parse_hub_model(wanted)), FilePath(""), "")
        if not matching:
            raise NotFoundError(f"there is no base model {name or ''}".rstrip(), "viz-node base install")
        return matching[0].reference()

    def settle_default(self) -> str | None:
        """The default base model's digest; the first by name is written down as it, once, when none is yet."""
        digest = self._store.settings.get_setting(_DEFAULT_BASE)
        if digest is None and (installed := self.bases()):
            digest = installed[0].digest
            self._store.settings.set_setting(_DEFAULT_BASE, digest)
        return digest

    def use_base(self, name: str) -> BaseModel:
        """Make this installed base model the default one. Raises: NotFoundError, UsageError (several)."""
        base = find_installed(self.bases(), name).reference()
        self._store.settings.set_setting(_DEFAULT_BASE, base.digest)
        return base

    def list_bases(self) -> list[ListedBase]:
        """Installed base models by name, and whether each is the default."""
        default = self.settle_default()
        return [listed_base(base, base.digest == default) for base in self.bases()]

    def texts_of(self, works: Sequence[str], seed: int) -> tuple[list[str], list[str]]:
        """The texts of these works, to train on and to evaluate with. Raises: NotFoundError, VerificationError."""
        found = [self._works.find(work) for work in works]
        return self._split_texts({str(work.work_id): self._works.text(work) for work in found}, seed)

    def check_new_name(self, name: str) -> None:
        """Raises: UsageError unless `name` is free and fit for a file name."""
        if not 1 <= len(name) <= 64 or not all(c.isalnum() or c in "-_." for c in name) or name.startswith("."):
            raise UsageError(f"{name!r} is not a name", "use 1 to 64 letters, digits, - _ and .")
        if adapter_named(self._store.adapters, name) is not None:
            raise UsageError(f"there is already an adapter {name}", "choose another name")

    async def build_base(self, job: Job[BuildBaseOrder], report: Report) -> BuiltBase:
        """Job: build the synthetic base model on this machine."""
        seed = job.order.seed
        out = self._directory / "bases" / base_name(seed)
        if not (out / "provenance.json").exists():
            order = BuildBase(out_dir=FilePath(str(out)), seed=seed, recipe=BaseRecipe(name=out.name))
            await self._trainer.build_base(order, report)
        self.settle_default()
        return BuiltBase(next(base for base in self.bases() if Path(base.path) == out))

    async def train(self, job: Job[TrainOrder], report: Report) -> ShownAdapter:
        """Job: train an adapter on works and put it into the library."""
        name = job.order.name
        existing = adapter_named(self._store.adapters, name)
        if existing is not None and existing.training.get("job") == job.job_id:
            return describe_adapter(existing)
        train, held_out = self.texts_of(job.order.works, job.order.recipe.seed)
        out, checkpoint = self._directory / "adapters" / name, self._directory / "checkpoints" / job.job_id
        chosen = job.order.base or self.find_base(None)
        self.clearance.require(chosen)
        base = await self.install(chosen, report)
        self.clearance.require(base)
        order = Train(
            base=base,
            texts=tuple(train),
            eval_texts=tuple(held_out),
            recipe=job.order.recipe,
            out_dir=FilePath(str(out)),
            checkpoint_dir=FilePath(str(checkpoint)),
            cores=job.order.cores,
        )
        hours = parse_hours(job.order.between) if job.order.between else None
        trained = await within(hours, self._minute_of_day, lambda: self._trainer.train(order, report), report)
        record = AdapterRecord(
            name=name,
            adapter_id=None,
            base_name=base.name,
            base_digest=base.digest,
            directory=str(out),
            origin="trained",
            works=job.order.works,
            training={**trained.training, **self.clearance.facts(base), "job": job.job_id},
            evaluation=dict(trained.evaluation),
            created=job.created,
        )
        works = [self._works.find(work) for work in job.order.works]
        self._reports.keep(record, [(work, self._works.text(work)) for work in works], held_out, trained.measured)
        self._store.adapters.save_adapter(record)
        shutil.rmtree(checkpoint, ignore_errors=True)
        return describe_adapter(record)

    async def install(self, base: BaseModel, report: Report) -> BaseModel:
        """The same base, on this disk. Raises: NotFoundError, UnreachableError, VerificationError."""
        if base.path:
            return base
        model = parse_hub_model(base.name)
        out = self._directory / "bases" / model.folder_name()
        if not out.exists():
            await self._trainer.install_base(InstallBase(source=str(model), out_dir=FilePath(str(out))), report)
        self.settle_default()
        return self.find_base(str(model))

    def find_adapter(self, name: str) -> AdapterRecord:
        """The adapter of this library with this name, id or unique prefix. Raises: NotFoundError."""
        return self._store.adapters.find_adapter(name)


def base_name(seed: int) -> str:
    """The synthetic base model's name, and its folder's; another seed is another model."""
    return f"viz-base-small-{seed}"


def describe_adapter(record: AdapterRecord, states: Mapping[str, str] = MappingProxyType({})) -> ShownAdapter:
    """The adapter as people and machines see it."""
    unsold = "licensed" if record.origin == "fetched" else "private"
    if unsold == "private" and is_worse_than_base(record.evaluation):
        unsold = "worse than base"
    return ShownAdapter(
        name=record.name,
        adapter_id=record.adapter_id,
        base=record.base_name,
        base_digest=record.base_digest,
        origin=record.origin,
        state=states.get(record.name, unsold),
        works=len(record.works),
        training=record.training,
        evaluation=record.evaluation,
        published=record.adapter_id is not None and record.origin != "fetched",
        price=None,
        created=record.created,
    )
