"""What a first development start does unasked: a base model, sample works, an adapter trained on them, and an offer.

Every stage is an ordinary durable job, and what is next follows from what is there: a start after a crash goes on where
the last one ended, and nothing is published twice. A node that already had works or adapters gets no sample, and who
cancels one of its jobs is not asked again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from viz_node.domain.job import Job, JobState
from viz_node.domain.names import FilePath
from viz_node.domain.orders import InstallBaseOrder, Order, subject_of
from viz_node.domain.terms import AskedPublication
from viz_node.domain.training import SHIPPED_BASE, Facts
from viz_node.domain.work import SAMPLE_AUTHOR, Rights
from viz_node.ports.state import WithAdapters, WithFirstStarts, WithWorks
from viz_node.services.jobs.runner import JobRunner
from viz_node.services.library.look_up import adapter_named
from viz_node.services.library.part import Library, ModelOperations
from viz_node.services.market.part import Selling

SAMPLE_NAME = "sample-harbour"
SAMPLE_PRICE = "1.00"
_RECIPE = {"epochs": 4, "learning_rate": 0.005}
_SAMPLE = "sample"
_WANTED, _OVER = "wanted", "over"

Tell = Callable[[Job[Order]], None]


@dataclass(frozen=True)
class PublishedSample:
    """The sample adapter that is for sale: its name, its price in tokens, and how good it is."""

    name: str
    price: str
    evaluation: Facts


class FirstStartState(WithWorks, WithAdapters, WithFirstStarts, Protocol):
    """What is there already, and how far the sample came."""


class FirstStart:
    """Brings a new development node to something that can be searched, licensed and used."""

    def __init__(
        self,
        store: FirstStartState,
        jobs: JobRunner,
        library: Library,
        models: ModelOperations,
        selling: Selling,
        write_samples: Callable[[], list[Path]],
    ) -> None:
        self._store = store
        self._jobs = jobs
        self._library = library
        self._models = models
        self._selling = selling
        self._write_samples = write_samples

    async def run(self, with_sample: bool, tell: Tell) -> PublishedSample | None:
        """Do what is left to do, telling every change of its jobs; the published sample, once, when all of it is done.

        Raises: VizNodeError (the samples could not be read, or trained on).
        """
        for stage in self._stages(with_sample):
            job = self._newest(stage)
            if job is not None and job.state is JobState.FAILED:
                job = self._jobs.resume(job.job_id)
            if job is None or job.state is JobState.DONE:  # What a job that is done made is gone by now.
                job_id = await self._submit(stage)
            else:
                job_id = job.job_id
            job = await self._jobs.follow(job_id, tell)
            if job.state is JobState.CANCELLED:
                self._store.first_starts.save_first_start(_SAMPLE, _OVER)
            if job.state is not JobState.DONE:
                return None
        if not with_sample or self._store.first_starts.find_first_start(_SAMPLE) != _WANTED:
            return None
        self._store.first_starts.save_first_start(_SAMPLE, _OVER)
        return self._describe()

    def _stages(self, with_sample: bool) -> Iterator[str]:
        """What is left, decided anew after every stage."""
        if with_sample and self._store.first_starts.find_first_start(_SAMPLE) is None:
            is_new = not self._store.works.list_works() and not self._store.adapters.list_adapters()
            self._store.first_starts.save_first_start(_SAMPLE, _WANTED if is_new else _OVER)
        if not self._library.workshop.bases():
            yield "base_install"
        if not with_sample or self._store.first_starts.find_first_start(_SAMPLE) != _WANTED:
            return
        if adapter_named(self._store.adapters, SAMPLE_NAME) is None:
            yield "train"
        if SAMPLE_NAME not in {record.name for record in self._models.published()}:
            yield "publish"

    def _newest(self, stage: str) -> Job[Order] | None:
        for job in self._jobs.list_jobs():
            if job.kind == stage and (stage == "base_install" or subject_of(job.order) == SAMPLE_NAME):
                return job
        return None

    async def _submit(self, stage: str) -> str:
        if stage == "base_install":
            return self._jobs.accept(InstallBaseOrder(SHIPPED_BASE)).job_id
        if stage == "train":
            works = await self._take_in_samples()
            return (await self._models.train(name=SAMPLE_NAME, content=works, recipe=dict(_RECIPE))).job_id
        answer = await self._selling.publish(AskedPublication(SAMPLE_NAME, SAMPLE_PRICE))
        return answer.job_id

    async def _take_in_samples(self) -> list[str]:
        """The works, which a start before this one may have taken in already."""
        paths = [FilePath(str(path)) for path in self._write_samples()]
        await self._library.works.add(paths, Rights.PUBLIC_DOMAIN, SAMPLE_AUTHOR)
        return [str(work.work_id) for work in self._store.works.list_works() if work.author == SAMPLE_AUTHOR]

    def _describe(self) -> PublishedSample:
        record = self._store.adapters.find_adapter(SAMPLE_NAME)
        return PublishedSample(record.name, SAMPLE_PRICE, record.evaluation)
