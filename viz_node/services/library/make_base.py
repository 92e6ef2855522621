"""Base models from elsewhere than a hub: of this package, from a folder, and those that an owner pre-trains."""

import asyncio
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from viz_node.domain.base_catalogue import find_entry
from viz_node.domain.job import Job
from viz_node.domain.names import FilePath
from viz_node.domain.orders import AddBaseOrder, InstallBaseOrder, PretrainOrder
from viz_node.domain.pretraining import FetchSources, Pretrain, PretrainRecipe
from viz_node.domain.sources import Source, SourceList
from viz_node.domain.training import SHIPPED_BASE, AddBase, InstalledBase, UnpackBase
from viz_node.domain.work import ImportedWork, ImportFailure
from viz_node.errors import NotFoundError, StorageError, UsageError, VerificationError
from viz_node.ports.workers import Trainer
from viz_node.services.library.manage_works import ReadTexts
from viz_node.services.library.train_adapter import BuiltBase, Workshop
from viz_node.services.part import Report


@dataclass(frozen=True)
class SourceRow:
    """One source of a list as people see it; `place` is its file or address."""

    title: str
    authors: str
    license: str
    reasons: str
    use: str
    place: str


@dataclass(frozen=True)
class PretrainPlan:
    """What a pre-training would do: nothing is fetched or trained yet."""

    name: str
    license: str
    steps: int
    tokens: int
    sources: tuple[SourceRow, ...]


class BaseMaker:
    """Pre-trains bases from lists of sources, and unpacks the one of this package."""

    def __init__(self, workshop: Workshop, directory: Path, trainer: Trainer, read_texts: ReadTexts) -> None:
        self._workshop, self._directory, self._trainer, self._read_texts = workshop, directory, trainer, read_texts

    def plan(self, listed: SourceList, texts: Path, recipe: PretrainRecipe) -> PretrainPlan:
        """What the order would do. Raises: UsageError (the name is taken), NotFoundError (a file is missing)."""
        self.check(listed, texts)
        rows = tuple(_row(source) for source in listed.sources)
        return PretrainPlan(listed.name, listed.license, recipe.steps, recipe.steps * recipe.step_tokens(), rows)

    def check(self, listed: SourceList, texts: Path) -> None:
        """Refuse before any long work. Raises: UsageError, NotFoundError."""
        if (self._directory / "bases" / listed.name).exists() or find_entry(listed.name) is not None:
            raise UsageError(
                f"there is already a base model {listed.name}", "choose another name in the list of sources"
            )
        missing = [source.path for source in listed.sources if source.path and not (texts / source.path).is_file()]
        if missing:
            more = f" and {len(missing) - 1} more" if len(missing) > 1 else ""
            raise NotFoundError(f"{texts} has no file {missing[0]}{more}", "name the folder of the texts: --texts DIR")

    async def pretrain(self, job: Job[PretrainOrder], report: Report) -> BuiltBase:
        """Job: fetch, read and check the sources, then train on them; goes on where it was."""
        order = job.order
        listed = order.listed
        out, work = self._directory / "bases" / listed.name, self._directory / "checkpoints" / job.job_id
        if not out.exists():
            await self._collect(listed.sources, Path(order.texts), work, report)
            await self._trainer.pretrain(
                Pretrain(
                    listed=listed,
                    texts=FilePath(str(work / "texts")),
                    recipe=order.recipe,
                    out_dir=FilePath(str(out)),
                    checkpoint_dir=FilePath(str(work / "run")),
                ),
                report,
            )
        shutil.rmtree(work, ignore_errors=True)
        return BuiltBase(self._found(out))

    async def install(self, job: Job[InstallBaseOrder], report: Report) -> BuiltBase:
        """Job: unpack the base of this package, or download the pinned one of a hub."""
        if job.order.name != SHIPPED_BASE:
            reference = await self._workshop.install(self._workshop.find_base(job.order.name), report)
            return BuiltBase(self._found(Path(reference.path)))
        out = self._directory / "bases" / SHIPPED_BASE
        if not out.exists():
            await self._trainer.unpack_base(UnpackBase(out_dir=FilePath(str(out))), report)
        return BuiltBase(self._found(out))

    def check_folder(self, order: AddBaseOrder) -> None:
        """Refuse before any long work. Raises: UsageError (the name is taken), NotFoundError (there is no folder)."""
        if (self._directory / "bases" / order.name).exists() or find_entry(order.name) is not None:
            raise UsageError(f"there is already a base model {order.name}", "choose another name: --name NAME")
        if not Path(order.source).is_dir():
            raise NotFoundError(f"there is no folder {order.source}", "name the folder that holds config.json")

    async def add(self, job: Job[AddBaseOrder], report: Report) -> BuiltBase:
        """Job: check the model in a folder, and copy it, so that nobody else can change it."""
        order, out = job.order, self._directory / "bases" / job.order.name
        if not out.exists():
            await self._trainer.add_base(
                AddBase(
                    source=order.source,
                    out_dir=FilePath(str(out)),
                    name=order.name,
                    license=order.license,
                    stated=order.stated,
                ),
                report,
            )
        return BuiltBase(self._found(out))

    def _found(self, out: Path) -> InstalledBase:
        self._workshop.settle_default()
        return next(base for base in self._workshop.bases() if Path(base.path) == out)

    async def _collect(self, sources: Sequence[Source], texts: Path, work: Path, report: Report) -> None:
        """The text of every source in its file below `work`, read by the same readers as works.

        Raises: VerificationError (a file is another than the list pins, or unreadable), StorageError.
        """
        fetched, target = work / "fetched", work / "texts"
        if any(source.url for source in sources):
            await self._trainer.fetch_sources(
                FetchSources(sources=tuple(sources), directory=FilePath(str(fetched))), report
            )
        wanted = [source for source in sources if not (target / source.sha256).exists()]
        places = [texts / source.path if source.path else fetched / source.file_name() for source in wanted]
        items = [item async for item in self._read_texts(places, "")]
        for source, item in zip(wanted, items, strict=True):
            await asyncio.to_thread(_keep, source, item, target)


def _keep(source: Source, item: ImportedWork | ImportFailure, target: Path) -> None:
    title = source.title[:60]
    if isinstance(item, ImportFailure):
        raise VerificationError(f"{title}: {item.error}", "use another file, and its sha256 in the list of sources")
    if item.digest != source.sha256:
        raise VerificationError(
            f"{title} is another file than the list pins", "check its sha256 in the list of sources"
        )
    partial = target / f".{source.sha256}.partial"
    try:
        target.mkdir(parents=True, exist_ok=True)
        partial.write_text(item.text, encoding="utf-8")
        partial.replace(target / source.sha256)
    except OSError as error:
        raise StorageError(f"cannot keep the text of {title}: {error}", "free some disk space") from error


def _row(source: Source) -> SourceRow:
    reasons = "; ".join(f"{place}: {reason}" for place, reason in source.reasons.items())
    use = "measure" if source.held_out else "train"
    return SourceRow(source.title, ", ".join(source.authors), source.license, reasons, use, source.path or source.url)
