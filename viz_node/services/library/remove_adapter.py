"""Adapters leave the library: those trained here and never published, and those fetched from others.

First the folder is put aside under a name that no adapter can have, then the record goes, then the files: a crash
between these steps leaves a folder put aside, and the next start finishes the removal.
"""

import asyncio
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from viz_node.domain.job import JobState
from viz_node.domain.orders import subject_of
from viz_node.domain.records import AdapterRecord
from viz_node.errors import RefusedError, StorageError
from viz_node.ports.state import WithAdapters, WithJobs, WithOutbox
from viz_node.services.library.look_up import entry_of
from viz_node.services.library.manage_works import NamedAdapter

ASIDE = ".removed-"


@dataclass(frozen=True)
class AdapterRemovalPlan(NamedAdapter):
    """An adapter, and what removing it loses."""

    loses: str


class RemovalState(WithAdapters, WithJobs, WithOutbox, Protocol):
    """The adapters, and what still needs them."""


class Removals:
    """`directory` holds the folders of adapters and bundles; `unshare` ends the serving of an adapter's files."""

    def __init__(self, store: RemovalState, directory: Path, unshare: Callable[[AdapterRecord], None]) -> None:
        self._store = store
        self._directory = directory
        self._unshare = unshare

    def plan(self, adapter: str) -> AdapterRemovalPlan:
        """What would be lost. Raises: NotFoundError, RefusedError (published, or a job needs it)."""
        record = self._removable(adapter)
        is_fetched = record.origin == "fetched"
        if is_fetched:
            loss = "its files; the license stays, and the owner's node can give it again"
        elif record.origin == "imported":
            loss = "its files here; the folder that it was imported from stays as it is"
        else:
            loss = "its weights, for good; the works stay, and another training gives another adapter"
        return AdapterRemovalPlan(record.name, record.adapter_id, record.origin, loss)

    async def remove(self, adapter: str) -> NamedAdapter:
        """Remove record and files. Raises: NotFoundError, RefusedError, StorageError."""
        record = self._removable(adapter)
        self._unshare(record)
        try:
            self.finish()
            _put_aside(self._directory / "adapters", record.name)
            self._store.adapters.remove_adapter(record.name)
            await asyncio.to_thread(self.finish)
        except OSError as error:
            raise StorageError(f"cannot remove {error.filename}: {error.strerror}", "check the disk") from error
        return NamedAdapter(record.name, record.adapter_id, record.origin)

    def finish(self) -> None:
        """Complete removals that a crash interrupted; no adapter that exists is touched."""
        for aside in (self._directory / "adapters").glob(f"{ASIDE}*"):
            name = aside.name.removeprefix(ASIDE)
            if not (self._directory / "adapters" / name).exists():
                self._store.adapters.remove_adapter(name)
                (self._directory / "reports" / f"{name}.sealed").unlink(missing_ok=True)
                with suppress(FileNotFoundError):
                    shutil.rmtree(self._directory / "bundles" / name)
            shutil.rmtree(aside)

    def _removable(self, adapter: str) -> AdapterRecord:
        record = self._store.adapters.find_adapter(adapter)
        entry = entry_of(self._store.outbox, f"publish:{record.adapter_id}") if record.origin != "fetched" else None
        if entry is not None and entry.state != "failed":
            raise RefusedError(
                f"{record.name} is published: its licensees get their key and files from this node",
                f"end its sales instead: viz-node withdraw {record.name}",
            )
        waiting = {JobState.QUEUED, JobState.RUNNING}
        for job in self._store.jobs.list_jobs():
            if job.state in waiting and subject_of(job.order) == record.name:
                raise RefusedError(f"a job needs {record.name}", f"viz-node jobs cancel {job.job_id}")
        return record


def _put_aside(adapters: Path, name: str) -> None:
    aside = adapters / f"{ASIDE}{name}"
    try:
        (adapters / name).rename(aside)
    except FileNotFoundError:
        # The files are gone already; the empty folder stands for the intention.
        aside.mkdir()
