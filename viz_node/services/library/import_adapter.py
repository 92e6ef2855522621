"""An adapter that another program trained enters the library: looked at, rewritten, compared with PEFT, then recorded.

Who trained it on what is the owner's word, as the works that it names are; the record and the manifest say so.
"""

import asyncio
import hashlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

from viz_node.domain.hub import is_hub_name, parse_hub_model
from viz_node.domain.importing import AdapterImported, AdapterInspected, ImportAdapter, InspectAdapter
from viz_node.domain.job import Job
from viz_node.domain.manifest import FILE_NAMES
from viz_node.domain.names import FilePath
from viz_node.domain.orders import ImportOrder
from viz_node.domain.records import AdapterRecord
from viz_node.domain.training import BaseModel, Facts
from viz_node.errors import NotFoundError, RefusedError, UsageError
from viz_node.ports.state import Adapters
from viz_node.ports.workers import Trainer
from viz_node.services.library.look_up import adapter_named
from viz_node.services.library.manage_works import WorkShelf
from viz_node.services.library.train_adapter import Workshop
from viz_node.services.part import Report

ORIGIN = "imported"
# Which share of the named works is held out depends on it, as in a training without a recipe.
_SPLIT_SEED = 1
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class ImportPlan:
    """What would be taken in, and how it is rewritten; `named_base` is what the folder itself says."""

    name: str
    source: FilePath
    base: str
    named_base: str
    rank: int
    alpha: int
    layers: int
    kinds: tuple[str, ...]
    parameters: int
    works: int
    rewritten: tuple[str, ...]
    notes: tuple[str, ...]
    ignored: tuple[str, ...]


@dataclass(frozen=True)
class ImportedAdapter:
    """An adapter that is in the library now; `notes` say what a person should know about it."""

    name: str
    base: str
    origin: str
    training: Facts
    evaluation: Facts
    notes: tuple[str, ...]


class Imports:
    """Foreign adapters, read and rewritten in the trainer's processes; `directory` holds the library's files."""

    def __init__(
        self, adapters: Adapters, works: WorkShelf, workshop: Workshop, directory: Path, trainer: Trainer
    ) -> None:
        self._adapters = adapters
        self._works = works
        self._workshop = workshop
        self._directory = directory
        self._trainer = trainer

    async def prepare(
        self, source: FilePath, name: str, base: str | None, content: list[str]
    ) -> tuple[ImportPlan, ImportOrder]:
        """What would be taken in, and the order that does it.

        Raises: UsageError, NotFoundError (the base model), VerificationError (the folder is refused), RefusedError (its
        weights are those of a fetched adapter).
        """
        self._workshop.check_new_name(name)
        found = await self._trainer.inspect_adapter(InspectAdapter(source=source))
        await self._refuse_fetched({found.weights_digest})
        chosen = self._base_for(found, base)
        works = tuple(work.work_id for work in self._works.select(content)) if content else ()
        order = ImportOrder(name, source, found.weights_digest, chosen, works)
        return _plan(order, found), order

    async def take_in(self, job: Job[ImportOrder], report: Report) -> ImportedAdapter:
        """Job: rewrite the adapter, compare it with PEFT on its base model, and put it into the library."""
        order = job.order
        existing = adapter_named(self._adapters, order.name)
        if existing is not None and existing.training.get("job") == job.job_id:
            return _describe(existing, ())
        out = self._directory / "adapters" / order.name
        imported = await self._rewrite(order, out, report)
        record = AdapterRecord(
            name=order.name,
            adapter_id=None,
            base_name=order.base.name,
            base_digest=order.base.digest,
            directory=str(out),
            origin=ORIGIN,
            works=order.works,
            training={**imported.training, "job": job.job_id},
            evaluation=dict(imported.evaluation),
            created=job.created,
        )
        self._adapters.save_adapter(record)
        return _describe(record, imported.notes)

    async def _rewrite(self, order: ImportOrder, out: Path, report: Report) -> AdapterImported:
        """The files in `out`, unless they are those of a fetched adapter. Raises: RefusedError."""
        held_out = self._workshop.texts_of(order.works, _SPLIT_SEED)[1] if order.works else []
        asked = ImportAdapter(
            source=order.source,
            weights_digest=order.weights_digest,
            base=order.base,
            out_dir=FilePath(str(out)),
            eval_texts=tuple(held_out),
        )
        imported = await self._trainer.import_adapter(asked, report)
        try:
            await self._refuse_fetched({facts.digest for facts in imported.files.values()})
        except RefusedError:
            await asyncio.to_thread(shutil.rmtree, out, True)
            raise
        return imported

    def _base_for(self, found: AdapterInspected, base: str | None) -> BaseModel:
        """The installed base model of that name, or the one that the folder names."""
        if base is not None:
            chosen = self._workshop.find_base(base)
            if not chosen.path:
                raise NotFoundError(f"{base} is not installed", f"viz-node base install {base}")
            return chosen
        if not found.base_name:
            raise UsageError("the adapter names no base model", "name it: --base NAME (see `viz-node base list`)")
        matching = [known for known in self._workshop.bases() if _is_named(known.name, found)]
        if len(matching) > 1:
            raise UsageError(
                f"{found.base_name} is installed at {len(matching)} revisions",
                "name the one it was trained on: --base NAME",
            )
        if not matching:
            at = f"@{found.revision}" if found.revision else ""
            raise NotFoundError(
                f"the adapter was trained on {found.base_name}{at}, which is not installed",
                "install it, or name the installed base model that is the same: --base NAME (see `viz-node base list`)",
            )
        return matching[0].reference()

    async def _refuse_fetched(self, digests: set[str]) -> None:
        for record in self._adapters.list_adapters():
            if record.origin == "fetched":
                digest = await asyncio.to_thread(_digest_of, Path(record.directory) / FILE_NAMES[1])
                if digest in digests:
                    raise RefusedError(
                        f"these are the weights of {record.name}, which was fetched from its seller",
                        "its seller alone sells it; use it under its license as it is",
                    )


def _is_named(installed: str, found: AdapterInspected) -> bool:
    """Whether an installed base model is the one that the folder names, at the commit that it may name."""
    if not is_hub_name(installed):
        return installed == found.base_name
    model = parse_hub_model(installed)
    named = found.base_name.removeprefix("hf:").partition("@")[0]
    is_at = model.commit == found.revision or _COMMIT.fullmatch(found.revision) is None
    return model.repository.lower() == named.lower() and is_at


def _digest_of(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        return ""


def _plan(order: ImportOrder, found: AdapterInspected) -> ImportPlan:
    return ImportPlan(
        name=order.name,
        source=order.source,
        base=order.base.name,
        named_base=found.base_name,
        rank=found.rank,
        alpha=found.alpha,
        layers=found.layers,
        kinds=found.kinds,
        parameters=found.parameters,
        works=len(order.works),
        rewritten=found.steps,
        notes=found.notes,
        ignored=found.ignored,
    )


def _describe(record: AdapterRecord, notes: tuple[str, ...]) -> ImportedAdapter:
    return ImportedAdapter(record.name, record.base_name, record.origin, record.training, record.evaluation, notes)
