"""What people ask of base models."""

from dataclasses import dataclass
from pathlib import Path

from viz_node.domain.base_sources import check_base_name, check_license, parse_stated
from viz_node.domain.job import JobState, Queued
from viz_node.domain.limits import SEED
from viz_node.domain.names import FilePath
from viz_node.domain.orders import AddBaseOrder, BuildBaseOrder, InstallBaseOrder, Order, PretrainOrder
from viz_node.domain.pretraining import parse_pretrain_recipe
from viz_node.domain.sources import parse_sources
from viz_node.domain.training import SHIPPED_BASE, BaseModel, ListedBase
from viz_node.services.jobs.runner import JobRunner
from viz_node.services.library.clear_bases import AcceptedBase, Clearance, find_installed
from viz_node.services.library.make_base import BaseMaker, PretrainPlan
from viz_node.services.library.show_bases import BaseRow, BaseViews, InstallPlan, ShownBase, named_base
from viz_node.services.library.train_adapter import Workshop, base_name

_BASE_ORDERS = (BuildBaseOrder, InstallBaseOrder, AddBaseOrder)


@dataclass(frozen=True)
class Bases:
    """The use cases of base models."""

    workshop: Workshop
    maker: BaseMaker
    clearance: Clearance
    views: BaseViews


class BaseOperations:
    """Lists, installs, adds, makes and accepts base models."""

    def __init__(self, jobs: JobRunner, bases: Bases) -> None:
        self._jobs, self._workshop, self._maker = jobs, bases.workshop, bases.maker
        self._clearance, self._views = bases.clearance, bases.views

    async def base_list(self) -> list[ListedBase]:
        """Installed base models."""
        return self._workshop.list_bases()

    async def base_catalogue(self) -> list[BaseRow]:
        """Installed base models, and the others of the catalogue."""
        return self._views.catalogue()

    async def base_show(self, *, base: str) -> ShownBase:
        """What is known of one base model."""
        return self._views.show(base)

    async def base_use(self, *, base: str) -> BaseModel:
        """Choose the default base model."""
        return self._workshop.use_base(base)

    async def base_accept(self, *, base: str, reason: str) -> AcceptedBase:
        """Train on and publish from a base of unknown data, for this reason; without a reason, no longer."""
        return self._clearance.accept(find_installed(self._workshop.bases(), base), reason)

    async def base_build(self, *, seed: int) -> Queued:
        """Build the synthetic base model; while it is being built, the job that does."""
        SEED.check(seed)
        return self._once(BuildBaseOrder(seed, base_name(seed)))

    async def plan_base_install(self, *, base: str = SHIPPED_BASE, revision: str = "") -> InstallPlan:
        """What installing a base model takes, and what is known of it."""
        return self._views.plan_install(base, revision)

    async def base_install(self, *, base: str = SHIPPED_BASE, revision: str = "") -> Queued:
        """Install the base model of this package, one of the catalogue, or a pinned one of a hub."""
        _, name = named_base(base, revision)
        if not any(found.name == name for found in self._workshop.bases()):
            self._views.plan_install(base, revision)
        return self._once(InstallBaseOrder(name))

    async def base_add(
        self, *, directory: FilePath, license_name: str, sources: object = None, name: str = ""
    ) -> Queued:
        """Take a base model in from a folder of this machine; without sources its verdict is unknown."""
        called = check_base_name(name or Path(directory).name)
        stated = parse_stated(sources) if sources is not None else None
        order = AddBaseOrder(called, directory, check_license(license_name), stated)
        self._maker.check_folder(order)
        return self._once(order)

    async def plan_base_train(self, *, sources: object, texts: FilePath, recipe: object = None) -> PretrainPlan:
        """What pre-training on this list of sources would do."""
        return self._maker.plan(parse_sources(sources), Path(texts), parse_pretrain_recipe(recipe))

    async def base_train(self, *, sources: object, texts: FilePath, recipe: object = None) -> Queued:
        """Train a base model from scratch on a list of sources."""
        listed = parse_sources(sources)
        self._maker.check(listed, Path(texts))
        return self._jobs.accept(PretrainOrder(listed.name, listed, texts, parse_pretrain_recipe(recipe)))

    def _once(self, order: Order) -> Queued:
        coming = coming_bases(self._jobs)
        same = next((job_id for known, job_id in coming if known == order), None)
        return self._jobs.accept(order) if same is None else Queued(same)


def coming_bases(jobs: JobRunner) -> list[tuple[Order, str]]:
    """The base models that are being installed or made, and the job of each, newest first."""
    running = {JobState.QUEUED, JobState.RUNNING}
    return [
        (job.order, job.job_id)
        for job in jobs.list_jobs()
        if job.state in running and isinstance(job.order, _BASE_ORDERS)
    ]
