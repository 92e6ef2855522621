"""Orders by a user that survive a crash: their states and what may follow what."""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeVar

from viz_node.errors import UsageError

OrderT_co = TypeVar("OrderT_co", covariant=True)


class JobState(StrEnum):
    """`queued → running → done | failed | cancelled`; a failed or cancelled job may be queued again."""

    QUEUED = "queued"
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"


_FOLLOWS: dict[JobState, set[JobState]] = {
    JobState.QUEUED: {JobState.RUNNING, JobState.CANCELLED, JobState.FAILED},
    JobState.RUNNING: {JobState.QUEUED, JobState.DONE, JobState.FAILED, JobState.CANCELLED},
    JobState.DONE: set(),
    JobState.FAILED: {JobState.QUEUED},
    JobState.CANCELLED: {JobState.QUEUED},
}


@dataclass(frozen=True)
class Queued:
    """What a person gets for an order: the job that carries it out."""

    job_id: str


@dataclass(frozen=True)
class JobStep:
    """How far a job is: at step `step` of `steps`, of which this one is called `phase`."""

    phase: str
    step: int
    steps: int


@dataclass(frozen=True)
class Job(Generic[OrderT_co]):
    """A durable order; `order` is what was asked, `progress` the last thing its process said, `result` what it made."""

    job_id: str
    kind: str
    state: JobState
    order: OrderT_co
    created: int
    updated: int
    progress: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    error: str = ""


def check_transition(job: Job[object], state: JobState) -> None:
    """Raises: UsageError if `state` may not follow the job's own."""
    if state not in _FOLLOWS[job.state]:
        raise UsageError(f"job {job.job_id} is {job.state} and cannot become {state}", "see `viz-node jobs list`")
