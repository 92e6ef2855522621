"""Durable orders: queued in the store, run one after another per lane, resumed after a crash.

A handler must be able to run again from the start at any time: what it finished it finds in the store, on the chain or
on disk. A job that was running when the process died is queued again at the next start.
"""

import asyncio
import logging
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from viz_node.domain.answer import UNSET, UnsetType, as_json
from viz_node.domain.job import Job, JobState, Queued, check_transition
from viz_node.domain.orders import Order, UnreadableOrder, subject_of
from viz_node.errors import UsageError, VerificationError, VizNodeError, describe_error, disk_full
from viz_node.ports.state import Jobs
from viz_node.services.part import Handler, Kind, OrderT

log = logging.getLogger(__name__)

STOP_SECONDS = 10.0
"""How long a caller waits for a job to stop: a child process has three seconds to end before it is killed."""


@dataclass(frozen=True)
class ShownJob:
    """A job without its order, which may name content; `name` is that of its subject.

    `stopping`, of a job that was just cancelled: what it was doing is not over yet.
    """

    job_id: str
    kind: str
    state: JobState
    created: int
    updated: int
    progress: object
    result: object
    error: str
    name: str
    stopping: bool | UnsetType = UNSET


class JobRunner:
    """Runs jobs by kind; kinds of the same lane never run at the same time."""

    def __init__(self, rows: Jobs, now: Callable[[], int]) -> None:
        self._rows = rows
        self._now = now
        self._kinds: dict[str, tuple[asyncio.Lock, Handler[Any]]] = {}
        self._locks: dict[str, asyncio.Lock] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._group: asyncio.TaskGroup | None = None
        self._watchers: dict[str, Callable[[Job[Order]], None]] = {}
        self._stopping = False

    def register(self, kind: Kind[OrderT]) -> None:
        """Carry out jobs of this kind."""
        self._kinds[kind.order.kind] = (self._locks.setdefault(kind.lane, asyncio.Lock()), kind.handler)

    def start(self, group: asyncio.TaskGroup) -> None:
        """Run what was queued or running when the process ended, the oldest first."""
        self._group = group
        for job in reversed(self._rows.list_jobs()):
            if job.state is JobState.RUNNING:
                self._save(replace(job, state=JobState.QUEUED))
            if job.state in {JobState.QUEUED, JobState.RUNNING}:
                self._launch(job.job_id)

    async def stop(self) -> None:
        """End the running jobs; they stay queued for the next start."""
        self._stopping = True
        tasks = list(self._tasks.values())
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    def submit(self, order: Order) -> Job[Order]:
        """Store a job of the order's kind and run it."""
        job = Job(secrets.token_hex(8), order.kind, JobState.QUEUED, order, self._now(), self._now())
        self._rows.add_job(job)
        self._launch(job.job_id)
        return job

    def accept(self, order: Order) -> Queued:
        """`submit` for people, who get the job's id."""
        return Queued(self.submit(order).job_id)

    def cancel(self, job_id: str) -> Job[Order]:
        """Stop a queued or running job. Raises: NotFoundError, UsageError."""
        job = self.find(job_id)
        check_transition(job, JobState.CANCELLED)
        cancelled = self._save(replace(job, state=JobState.CANCELLED))
        task = self._tasks.get(job.job_id)
        if task is not None:
            task.cancel()
        return cancelled

    async def settled(self, job_id: str, seconds: float = STOP_SECONDS) -> bool:
        """Whether what a cancelled job was doing is over, which is waited for so long. Raises: NotFoundError."""
        task = self._tasks.get(self.find(job_id).job_id)
        if task is None or self.find(job_id).state is not JobState.CANCELLED:
            return True
        await asyncio.wait([task], timeout=seconds)
        return task.done()

    def resume(self, job_id: str) -> Job[Order]:
        """Queue a failed or cancelled job again. Raises: NotFoundError, UsageError."""
        job = self.find(job_id)
        check_transition(job, JobState.QUEUED)
        if job.job_id in self._tasks:
            told = f"job {job.job_id} is cancelled, and what it was doing is not over yet"
            raise UsageError(told, f"a minute from now: viz-node jobs resume {job.job_id}")
        queued = self._save(replace(job, state=JobState.QUEUED, error=""))
        self._launch(job.job_id)
        return queued

    def undo(self, job_id: str, message: str) -> None:
        """A job that was done is not any more; it can be resumed. Unknown jobs are passed over."""
        job = next((job for job in self._rows.list_jobs() if job.job_id == job_id), None)
        if job is not None and job.state is JobState.DONE:
            self._save(replace(job, state=JobState.FAILED, error=message))

    async def follow(self, job_id: str, tell: Callable[[Job[Order]], None]) -> Job[Order]:
        """Tell every change of the job until it has ended or this node stops; the job as it then is."""
        self._watchers[job_id] = tell
        try:
            task = self._tasks.get(job_id)
            if task is not None:
                await asyncio.wait([task])
        finally:
            del self._watchers[job_id]
        return self.find(job_id)

    def find(self, job_id: str) -> Job[Order]:
        """The job with this id or unique prefix. Raises: NotFoundError."""
        return self._rows.find_job(job_id)

    def list_jobs(self) -> list[Job[Order]]:
        """All jobs, the newest first."""
        return self._rows.list_jobs()

    def _launch(self, job_id: str) -> None:
        if self._group is None:
            raise RuntimeError("start() was not called")
        self._tasks[job_id] = self._group.create_task(self._run(job_id), name=f"job {job_id}")

    async def _run(self, job_id: str) -> None:
        job = self.find(job_id)
        try:
            lock, handler = self._handler_of(job)
            async with lock:
                job = self._save(replace(self.find(job_id), state=JobState.RUNNING))
                result = await handler(job, lambda progress: self._progress(job_id, progress))
            self._save(replace(self.find(job_id), state=JobState.DONE, result=as_json(result)))
        except asyncio.CancelledError:
            if not self._stopping and self.find(job_id).state is JobState.RUNNING:
                self._save(replace(self.find(job_id), state=JobState.QUEUED))
        except Exception as raised:  # the edge: a bug in one job must not end the node
            error = disk_full(raised) or raised
            if not isinstance(error, VizNodeError):
                log.exception("job %s (%s) failed", job_id, job.kind)
            result = describe_error(error) if isinstance(error, VizNodeError) else {}
            message = f"{type(error).__name__}: {error}"
            self._save(replace(self.find(job_id), state=JobState.FAILED, error=message, result=result))
        finally:
            self._tasks.pop(job_id, None)

    def _handler_of(self, job: Job[Order]) -> tuple[asyncio.Lock, Handler[Any]]:
        """Raises: VerificationError (the row is of another version, or was changed by another hand)."""
        if isinstance(job.order, UnreadableOrder):
            raise VerificationError(job.order.problem, "order it again")
        return self._kinds[job.kind]

    def _progress(self, job_id: str, progress: object) -> None:
        job = self.find(job_id)
        if job.state is JobState.RUNNING:
            self._save(replace(job, progress=as_json(progress)))

    def _save(self, job: Job[Order]) -> Job[Order]:
        saved = replace(job, updated=self._now())
        self._rows.save_job(saved)
        if job.job_id in self._watchers:
            self._watchers[job.job_id](saved)
        return saved


def describe_job(job: Job[Order]) -> ShownJob:
    """The job as people and machines see it."""
    return ShownJob(
        job_id=job.job_id,
        kind=job.kind,
        state=job.state,
        created=job.created,
        updated=job.updated,
        progress=job.progress,
        result=job.result,
        error=job.error,
        name=subject_of(job.order),
    )
