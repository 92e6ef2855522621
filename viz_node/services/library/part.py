"""The library's part: works, base models, adapters, and what the node trains and writes with them."""

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from viz_node.domain.conversation import asked_messages
from viz_node.domain.job import JobState, Queued
from viz_node.domain.limits import CORES, NEW_TOKENS
from viz_node.domain.names import FilePath
from viz_node.domain.orders import (
    AddBaseOrder,
    BuildBaseOrder,
    GenerateOrder,
    ImportOrder,
    InstallBaseOrder,
    PretrainOrder,
    TrainOrder,
)
from viz_node.domain.recipe import DEFAULT_RECIPE, parse_recipe
from viz_node.domain.records import AdapterRecord
from viz_node.domain.sampling import Sampling
from viz_node.domain.similar import SimilarWorks
from viz_node.domain.work import ShownWork
from viz_node.domain.worker import TextPiece
from viz_node.errors import UsageError
from viz_node.ports.state import Adapters
from viz_node.services.jobs.runner import JobRunner
from viz_node.services.library.base_operations import BaseOperations, Bases, coming_bases
from viz_node.services.library.import_adapter import ImportPlan, Imports
from viz_node.services.library.make_base import BaseMaker
from viz_node.services.library.manage_works import (
    AddedWorks,
    NamedAdapter,
    RemovedWork,
    TextPage,
    WorkRemovalPlan,
    WorkShelf,
)
from viz_node.services.library.remove_adapter import AdapterRemovalPlan, Removals
from viz_node.services.library.report_training import Reports, ShownReport
from viz_node.services.library.show_bases import BaseViews
from viz_node.services.library.suggest_recipe import RecipeOperations
from viz_node.services.library.train_adapter import (
    ShownAdapter,
    Workshop,
    describe_adapter,
)
from viz_node.services.library.write_text import Writing
from viz_node.services.part import Handler, Kind, Lane, Part, operations_of

# A job that ended before it wrote anything says nothing.
_LOOK_SECONDS = 1.0
Published = Callable[[], list[AdapterRecord]]
StatesOf = Callable[[Sequence[str]], Awaitable[Mapping[str, str]]]


@dataclass(frozen=True)
class AskedText:
    """What to write on from or to answer, how much, and how to draw it: the numbers of `Sampling`.

    `messages` have `role` and `content`; the prompt is left out then.
    """

    adapter: str
    prompt: str = ""
    max_new_tokens: int = 80
    temperature: float = 0.8
    top_p: float = 1.0
    min_p: float = 0.1
    seed: int = 1
    stop: tuple[str, ...] = ()
    messages: tuple[dict[str, str], ...] = ()


class WorkOperations:
    """What people ask of works."""

    def __init__(self, works: WorkShelf) -> None:
        self._works = works

    async def content_add(
        self, *, paths: list[FilePath], rights: str, author: str, encoding: str = "", language: str = ""
    ) -> AddedWorks:
        """Take works in."""
        return await self._works.add(paths, rights, author, encoding, language)

    async def content_duplicates(self) -> list[SimilarWorks]:
        """Works that are nearly the same."""
        return self._works.duplicates()

    async def content_list(self) -> list[ShownWork]:
        """All works."""
        return self._works.list_works()

    async def content_show(self, *, work: str) -> ShownWork:
        """One work."""
        return self._works.show(work)

    async def content_text(self, *, work: str, start: int = 0) -> TextPage:
        """The text that was taken of a work, by pages."""
        return self._works.show_text(work, start)

    async def content_remove(self, *, work: str) -> RemovedWork:
        """Erase a work."""
        return self._works.remove(work)

    async def plan_content_remove(self, *, work: str) -> WorkRemovalPlan:
        """What erasing a work loses."""
        return self._works.plan_removal(work)


class ReportOperations:
    """What people ask about trainings."""

    def __init__(self, reports: Reports) -> None:
        self._reports = reports

    async def adapters_report(self, *, adapter: str) -> ShownReport:
        """What the training of an adapter did."""
        return self._reports.show(adapter)


class ModelOperations:
    """What people ask of base models and adapters."""

    def __init__(
        self,
        adapters: Adapters,
        jobs: JobRunner,
        library: "Library",
        published: Published,
        states_of: StatesOf,
    ) -> None:
        self._adapters, self._jobs = adapters, jobs
        self._works, self._workshop, self._removals = library.works, library.workshop, library.removals
        self._imports, self._writing = library.imports, library.writing
        self.published, self._states_of = published, states_of

    async def train(
        self,
        *,
        name: str,
        content: list[str],
        base: str | None = None,
        recipe: dict[str, Any] | None = None,
        cores: int = 0,
        between: str = "",
    ) -> Queued:
        """Train an adapter, on so many cores and between these hours of the day."""
        CORES.check(cores)
        self._workshop.check_new_name(name)
        chosen = None if base is None and coming_bases(self._jobs) else self._workshop.find_base(base)
        if chosen is not None:
            self._workshop.clearance.require(chosen)
        works = tuple(work.work_id for work in self._works.select(content))
        parsed = parse_recipe(DEFAULT_RECIPE | (recipe or {}))
        return self._jobs.accept(TrainOrder(name, works, chosen, parsed, cores, between))

    async def generate(self, asked: AskedText) -> Queued:
        """Write on from a prompt."""
        sampling = Sampling(asked.temperature, asked.top_p, asked.min_p, asked.seed, tuple(asked.stop))
        NEW_TOKENS.check(asked.max_new_tokens)
        record, messages = self._workshop.find_adapter(asked.adapter), asked_messages(asked.messages)
        if bool(asked.prompt) is bool(messages):
            raise UsageError("there is nothing to write on from", "give a prompt, or messages instead of it")
        return self._jobs.accept(GenerateOrder(record.name, asked.prompt, asked.max_new_tokens, sampling, messages))

    async def generate_follow(self, *, job: str) -> AsyncGenerator[TextPiece, None]:
        """The text that a job writes, piece by piece as it is written; nothing once the job is over."""
        return self._pieces_of(self._jobs.find(job).job_id)

    async def _pieces_of(self, job_id: str) -> AsyncGenerator[TextPiece, None]:
        with self._writing.listen(job_id) as pieces:
            while self._jobs.find(job_id).state in {JobState.QUEUED, JobState.RUNNING}:
                try:
                    async with asyncio.timeout(_LOOK_SECONDS):
                        text = await pieces.get()
                except TimeoutError:
                    continue
                if text is None:
                    return
                yield TextPiece(text)

    async def adapters_list(self) -> list[ShownAdapter]:
        """The library."""
        states = await self._states_of([record.name for record in self.published()])
        rows = [describe_adapter(record, states) for record in self._adapters.list_adapters()]
        return [replace(row, published=row.name in states) for row in rows]

    async def adapters_import(
        self, *, directory: FilePath, name: str, base: str | None = None, content: list[str] | None = None
    ) -> Queued:
        """Take in an adapter that another program trained."""
        _, order = await self._imports.prepare(directory, name, base, content or [])
        return self._jobs.accept(order)

    async def plan_adapters_import(
        self, *, directory: FilePath, name: str, base: str | None = None, content: list[str] | None = None
    ) -> ImportPlan:
        """What would be taken in, and how it is rewritten."""
        plan, _ = await self._imports.prepare(directory, name, base, content or [])
        return plan

    async def adapters_remove(self, *, adapter: str) -> NamedAdapter:
        """Remove an adapter of this library that is not published."""
        return await self._removals.remove(adapter)

    async def plan_adapters_remove(self, *, adapter: str) -> AdapterRemovalPlan:
        """What removing it loses."""
        return self._removals.plan(adapter)


@dataclass(frozen=True)
class Library:
    """The use cases of this stage."""

    works: WorkShelf
    workshop: Workshop
    writing: Writing
    removals: Removals
    maker: BaseMaker
    base_views: BaseViews
    imports: Imports
    reports: Reports
    recipes: RecipeOperations

    @property
    def bases(self) -> Bases:
        """The use cases of base models."""
        return Bases(self.workshop, self.maker, self.workshop.clearance, self.base_views)

    def part(self, models: ModelOperations, bases: BaseOperations, generate: Handler[GenerateOrder]) -> Part:
        """`generate` is the writing's, with the uses counted for the owners paid by them."""
        kinds = (
            Kind(BuildBaseOrder, Lane.COMPUTE, self.workshop.build_base),
            Kind(InstallBaseOrder, Lane.COMPUTE, self.maker.install),
            Kind(AddBaseOrder, Lane.COMPUTE, self.maker.add),
            Kind(PretrainOrder, Lane.COMPUTE, self.maker.pretrain),
            Kind(TrainOrder, Lane.COMPUTE, self.workshop.train),
            Kind(ImportOrder, Lane.COMPUTE, self.imports.take_in),
            Kind(GenerateOrder, Lane.INFERENCE, generate),
        )
        desks = WorkOperations(self.works), models, bases, ReportOperations(self.reports), self.recipes
        return Part(operations_of(*desks), kinds=kinds)
