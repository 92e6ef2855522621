"""Works: taken in, listed, shown and erased; their text is sealed before it touches the disk."""

import os
import secrets
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Protocol

from viz_node.domain.ids import AdapterId, WorkId
from viz_node.domain.job import JobState
from viz_node.domain.names import FilePath
from viz_node.domain.orders import TrainOrder
from viz_node.domain.similar import SimilarIndex, SimilarWorks
from viz_node.domain.work import (
    SAMPLE_AUTHOR,
    ImportedWork,
    ImportFailure,
    Rights,
    ShownWork,
    Work,
    commit_work,
    parse_language,
    shown_work,
)
from viz_node.errors import UsageError, VerificationError
from viz_node.ports.keys import SealBytes
from viz_node.ports.state import WithAdapters, WithJobs, WithWorks

PAGE_CHARACTERS = 1_000_000

LEAST_DIGITS = 8
ReadTexts = Callable[[list[Path], str], AsyncIterator[ImportedWork | ImportFailure]]
"""Paths and the encoding of their texts: one item per file, in order, as each is read."""


@dataclass(frozen=True)
class AddedWorks:
    """What was taken in of some files, and what was not."""

    added: list[ShownWork]
    refused: list[ImportFailure]


@dataclass(frozen=True)
class TextPage:
    """A page of a work's text; `next` is where the next one starts, if there is one."""

    work_id: WorkId
    text: str
    next: int | None


@dataclass(frozen=True)
class NamedAdapter:
    """An adapter of this library; `adapter_id` once it was published or fetched."""

    name: str
    adapter_id: AdapterId | None
    origin: str


@dataclass(frozen=True)
class WorkRemovalPlan:
    """A work, the adapters that learnt from it, and the jobs not done yet that need it."""

    work_id: WorkId
    title: str
    author: str
    characters: int
    added: int
    adapters: list[NamedAdapter]
    jobs: list[str]


@dataclass(frozen=True)
class RemovedWork:
    """A work that was erased; names of the adapters that learnt from it, which stay, and jobs that will fail."""

    work_id: WorkId
    title: str
    adapters: list[str]
    jobs: list[str]


class ShelfState(WithWorks, WithJobs, WithAdapters, Protocol):
    """The works, and what still needs them."""


class WorkShelf:
    """The owner's content: `directory` holds one sealed file per work, and the store its record."""

    def __init__(
        self, store: ShelfState, directory: Path, sealing: SealBytes, read_files: ReadTexts, now: Callable[[], int]
    ) -> None:
        self._store = store
        self._directory = directory
        self._sealing = sealing
        self._read_files = read_files
        self._now = now

    async def add(
        self, paths: Sequence[FilePath], rights: str, author: str, encoding: str = "", language: str = ""
    ) -> AddedWorks:
        """Read, seal and record works, one after another; what cannot be read is listed with its reason.

        What was recorded before a call is broken off stays. `encoding` and `language` are what the owner says of texts.
        Raises: UsageError.
        """
        told = parse_language(language) if language else ""
        if rights not in set(Rights):
            raise UsageError(f"{rights!r} is no declaration of rights", f"one of {', '.join(Rights)}")
        if not author.strip():
            raise UsageError("the author is missing", "--author NAME")
        answer = AddedWorks([], [])
        known = {work.digest: work for work in self._store.works.list_works()}
        similar = SimilarIndex({work.work_id: work.signature for work in known.values()})
        async for item in self._read_files([Path(path) for path in paths], encoding):
            if isinstance(item, ImportFailure):
                answer.refused.append(item)
            elif item.digest in known:
                why = f"already here as {known[item.digest].work_id[:12]}"
                answer.refused.append(ImportFailure(item.path, why))
            else:
                alike = similar.most_similar(item.signature)
                notes = item.notes if alike is None else (*item.notes, self._much_like(*alike))
                named = replace(item, language=told or item.language, notes=notes)
                work = self._take_in(named, Rights(rights), author.strip())
                known[work.digest] = work
                similar.add(work.work_id, work.signature)
                answer.added.append(shown_work(work))
        return answer

    def duplicates(self) -> list[SimilarWorks]:
        """Works that are nearly the same, the most similar first."""
        works = {str(work.work_id): work for work in self._store.works.list_works()}
        pairs = SimilarIndex({name: work.signature for name, work in works.items()}).pairs()
        return [
            SimilarWorks(round(share * 100), one, works[one].title, other, works[other].title)
            for one, other, share in pairs
        ]

    def _much_like(self, work_id: str, share: float) -> str:
        title = self._store.works.find_work(work_id).title
        return f"much like {title[:80]} ({work_id[:12]}): about {share:.0%} of its passages; see content duplicates"

    def list_works(self) -> list[ShownWork]:
        """All works, the newest last."""
        return [shown_work(work) for work in self._store.works.list_works()]

    def show(self, work: str) -> ShownWork:
        """One work with the first 500 characters of its text. Raises: NotFoundError."""
        found = self.find(work)
        return replace(shown_work(found), excerpt=self.text(found)[:500])

    def show_text(self, work: str, start: int = 0) -> TextPage:
        """A page of the text from this character on, and where the next one starts. Raises: NotFoundError."""
        found = self.find(work)
        end = max(start, 0) + PAGE_CHARACTERS
        text = self.text(found)
        return TextPage(found.work_id, text[max(start, 0) : end], end if end < len(text) else None)

    def plan_removal(self, work: str) -> WorkRemovalPlan:
        """What erasing the work would lose: the adapters that learnt from it, and jobs that would fail.

        Raises: NotFoundError, UsageError (too few digits to be sure which work is meant).
        """
        found = self.find(work)
        if len(work) < LEAST_DIGITS and work != found.title:
            raise UsageError(f"{work!r} is too short to erase by", f"give at least {LEAST_DIGITS} digits of the id")
        adapters = [
            NamedAdapter(adapter.name, adapter.adapter_id, adapter.origin)
            for adapter in self._store.adapters.list_adapters()
            if found.work_id in adapter.works
        ]
        jobs = self._jobs_with(found)
        return WorkRemovalPlan(found.work_id, found.title, found.author, found.characters, found.added, adapters, jobs)

    def remove(self, work: str) -> RemovedWork:
        """Erase text, salt and record; outside, only a commitment that nobody can open is left.

        Raises: NotFoundError, UsageError (too few digits to be sure which work is meant).
        """
        plan = self.plan_removal(work)
        self._path(plan.work_id).unlink(missing_ok=True)
        self._store.works.remove_work(plan.work_id)
        return RemovedWork(plan.work_id, plan.title, [adapter.name for adapter in plan.adapters], plan.jobs)

    def _jobs_with(self, work: Work) -> list[str]:
        waiting = {JobState.QUEUED, JobState.RUNNING}
        return [
            job.job_id
            for job in self._store.jobs.list_jobs()
            if job.state in waiting and isinstance(job.order, TrainOrder) and work.work_id in job.order.works
        ]

    def select(self, names: list[str]) -> list[Work]:
        """The named works, or for `all` the owner's, without samples. Raises: NotFoundError, UsageError (none)."""
        if names in ([], ["all"]):
            works = [work for work in self._store.works.list_works() if work.author != SAMPLE_AUTHOR]
        else:
            works = [self.find(name) for name in names]
        if not works:
            raise UsageError("there is no content yet", "viz-node content add PATH --rights owned --author NAME")
        return list({work.work_id: work for work in works}.values())

    def find(self, work: str) -> Work:
        """The work with this id, unique prefix or unique title. Raises: NotFoundError, UsageError."""
        return self._store.works.find_work(work)

    def text(self, work: Work) -> str:
        """The plain text. Raises: VerificationError if the sealed file was changed."""
        try:
            sealed = self._path(work.work_id).read_bytes()
        except FileNotFoundError as error:
            raise VerificationError(f"the text of {work.work_id[:12]} is gone", "add the file again") from error
        return self._sealing.open(sealed).decode()

    def _take_in(self, item: ImportedWork, rights: Rights, author: str) -> Work:
        salt = secrets.token_bytes(32)
        work = Work(
            work_id=commit_work(bytes.fromhex(item.digest), salt),
            title=item.title,
            author=author,
            rights=rights,
            media_type=item.media_type,
            size_bytes=item.size_bytes,
            characters=len(item.text),
            digest=item.digest,
            salt=salt.hex(),
            added=self._now(),
            notes=item.notes,
            language=item.language,
            signature=item.signature,
        )
        path = self._path(work.work_id)
        partial = path.with_suffix(".partial")
        with partial.open("wb") as file:
            partial.chmod(0o600)
            file.write(self._sealing.seal(item.text.encode()))
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        self._store.works.add_work(work, str(path))
        return work

    def _path(self, work_id: WorkId) -> Path:
        return self._directory / f"{work_id}.sealed"
