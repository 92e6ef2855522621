"""The library's part: works, base models, adapters, and what the node trains and writes with them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from viz_node.domain.job import Job, JobState
from viz_node.domain.names import FilePath
from viz_node.domain.recipe import parse_recipe
from viz_node.domain.records import AdapterRecord
from viz_node.domain.worker import as_body
from viz_node.ports.state import Adapters
from viz_node.services.jobs.runner import JobRunner
from viz_node.services.library.manage_works import WorkShelf
from viz_node.services.library.remove_adapter import Removals
from viz_node.services.library.train_adapter import DEFAULT_RECIPE, Workshop, base_name, describe_adapter
from viz_node.services.part import Answer, Handler, Lane, Part, Rows, on_lane, operations_of

Published = Callable[[], list[AdapterRecord]]
StatesOf = Callable[[Sequence[str]], Awaitable[Mapping[str, str]]]
ExportFiles = Callable[[str, str], object]


class WorkOperations:
    """What people ask of works."""

    def __init__(self, works: WorkShelf) -> None:
        self._works = works

    async def content_add(self, *, paths: list[FilePath], rights: str, author: str, encoding: str = "") -> Answer:
        """Take works in."""
        return await self._works.add(paths, rights, author, encoding)

    async def content_list(self) -> Rows:
        """All works."""
        return self._works.list_works()

    async def content_show(self, *, work: str) -> Answer:
        """One work."""
        return self._works.show(work)

    async def content_text(self, *, work: str, start: int = 0) -> Answer:
        """The text that was taken of a work, by pages."""
        return self._works.show_text(work, start)

    async def content_remove(self, *, work: str) -> Answer:
        """Erase a work."""
        return self._works.remove(work)

    async def plan_content_remove(self, *, work: str) -> Answer:
        """What erasing a work loses."""
        return self._works.plan_removal(work)


class ModelOperations:
    """What people ask of base models and adapters."""

    def __init__(
        self,
        adapters: Adapters,
        jobs: JobRunner,
        library: "Library",
        published: Published,
        states_of: StatesOf,
        export_files: ExportFiles,
    ) -> None:
        self._adapters, self._jobs = adapters, jobs
        self._works, self._workshop, self._removals = library.works, library.workshop, library.removals
        self.published, self._states_of, self._export_files = published, states_of, export_files

    async def base_list(self) -> Rows:
        """Installed base models."""
        return [as_body(base) | {"default": is_default} for base, is_default in self._workshop.list_bases()]

    async def base_use(self, *, base: str) -> Answer:
        """Choose the default base model."""
        return as_body(self._workshop.use_base(base))

    async def base_build(self, *, seed: int) -> Answer:
        """Build the small base model; while it is being built, the job that does."""
        order = {"seed": seed, "name": base_name(seed)}
        building = [job for job in self._building() if job.order == order]
        return {"job_id": building[0].job_id} if building else self._jobs.order("base_build", order)

    async def train(
        self, *, name: str, content: list[str], base: str | None = None, recipe: dict[str, Any] | None = None
    ) -> Answer:
        """Train an adapter."""
        self._workshop.check_new_name(name)
        chosen = None if base is None and self._building() else self._workshop.find_base(base)
        order = {
            "name": name,
            "works": [work.work_id for work in self._works.select(content)],
            "base": as_body(chosen) if chosen else None,
            "recipe": asdict(parse_recipe(DEFAULT_RECIPE | (recipe or {}))),
        }
        return self._jobs.order("train", order)

    async def generate(self, *, adapter: str, prompt: str, max_new_tokens: int = 80) -> Answer:
        """Write on from a prompt."""
        record = self._workshop.find_adapter(adapter)
        order = {"adapter": record.name, "prompt": prompt, "max_new_tokens": max_new_tokens}
        return self._jobs.order("generate", order)

    async def adapters_list(self) -> Rows:
        """The library."""
        states = await self._states_of([record.name for record in self.published()])
        rows = [describe_adapter(record, states) for record in self._adapters.list_adapters()]
        return [row | {"published": row["name"] in states} for row in rows]

    async def adapters_remove(self, *, adapter: str) -> Answer:
        """Remove an adapter of this library that is not published."""
        return await self._removals.remove(adapter)

    async def plan_adapters_remove(self, *, adapter: str) -> Answer:
        """What removing it loses."""
        return self._removals.plan(adapter)

    async def export(self, *, adapter: str, directory: str) -> Answer:
        """Write a folder that PEFT loads."""
        record = self._workshop.find_adapter(adapter)
        await asyncio.to_thread(self._export_files, record.directory, directory)
        return {"name": record.name, "directory": directory}

    def _building(self) -> list[Job]:
        open_jobs = (job for job in self._jobs.list_jobs() if job.state in {JobState.QUEUED, JobState.RUNNING})
        return [job for job in open_jobs if job.kind == "base_build"]


@dataclass(frozen=True)
class Library:
    """The use cases of this stage."""

    works: WorkShelf
    workshop: Workshop
    removals: Removals

    def part(self, models: ModelOperations, generate: Handler) -> Part:
        """`generate` is the workshop's, with the uses counted for the owners paid by them."""
        handlers = on_lane(Lane.COMPUTE, {"base_build": self.workshop.build_base, "train": self.workshop.train})
        handlers |= on_lane(Lane.INFERENCE, {"generate": generate})
        return Part(operations_of(WorkOperations(self.works), models), handlers)
