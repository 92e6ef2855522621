"""Following a durable job from the terminal: a progress bar, or a line now and then, until it has ended."""

import time
from math import isfinite
from typing import Any, Protocol, Self

from viz_node.cli.output import Output
from viz_node.cli.printer import Bar
from viz_node.errors import TrainingError, VizNodeError, class_named, error_from

POLL_SECONDS = 0.4
PLAIN_LINE_SECONDS = 5.0
MOST = 10**12
ENDED = ("done", "failed", "cancelled")
TRAINING_KINDS = ("train", "base_install", "base_build", "base_train", "generate", "federate")


class Node(Protocol):
    """The part of NodeClient that following a job needs."""

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        """The operation's answer."""


def follow_job(
    client: Node, output: Output, job_id: str, poll_seconds: float = POLL_SECONDS, is_quiet: bool = False
) -> dict[str, Any]:
    """Poll the job until it is done and return it. Raises: the error that ended it.

    An interrupt ends the following, not the job.
    """
    try:
        with _Unseen() if is_quiet else progress_for(output) as progress:
            while (job := client.call("jobs_show", job=job_id))["state"] not in ENDED:
                progress.update(job)
                time.sleep(poll_seconds)
            progress.update(job)
    except KeyboardInterrupt:
        output.news(f"the job goes on; follow it: viz-node jobs show {job_id} --follow")
        raise
    if job["state"] != "done":
        raise job_error(job)
    return job


def job_error(job: dict[str, Any]) -> VizNodeError:
    """The error of a job that did not end well.

    A failed job's result describes its error; without one, the text may still open with the name of an error class
    (`NotFoundError: no such work`), and carry its hint on a second line.
    """
    resume = f"viz-node jobs resume {job['job_id']}"
    again = f"mend the cause, then: {resume}"
    if job["state"] == "cancelled":
        return VizNodeError(f"job {job['job_id']} was cancelled", f"go on with it: {resume}")
    result = job.get("result") or {}
    if "error" in result and "message" in result:
        error = error_from(result)
        error.hint = error.hint or again
        return error
    message, _, hint = str(job.get("error") or "it gave no reason").partition("\n")
    name, colon, rest = message.partition(": ")
    known = class_named(name) if colon else None
    if known is not None:
        return known(rest, hint or again)
    cls = TrainingError if job.get("kind") in TRAINING_KINDS else VizNodeError
    return cls(message, hint or again)


def measures_of(progress: dict[str, Any]) -> str:
    """Loss, speed and time left of a job's last word, as far as it has them."""
    parts = []
    if (loss := _number(progress.get("loss"))) is not None:
        parts.append(f"loss {loss:.3f}")
    if (speed := _number(progress.get("tokens_per_second"))) and speed > 0:
        parts.append(f"{speed:,.0f} tokens/s")
    if (eta := _number(progress.get("eta_seconds"))) and eta > 0:
        minutes, seconds = divmod(int(eta), 60)
        parts.append(f"ETA {minutes}:{seconds:02d}")
    return "  ".join(parts)


def describe_progress(progress: dict[str, Any]) -> str:
    """Phase, steps and measures in one line."""
    steps = f" {progress['step']}/{progress['steps']}" if progress.get("steps") else ""
    return f"{progress.get('phase', '')}{steps}  {measures_of(progress)}".strip()


class JobProgress(Protocol):
    """How far one job is, shown to people while the context lasts."""

    def __enter__(self) -> Self: ...

    def __exit__(self, *_: object) -> None: ...

    def update(self, job: dict[str, Any]) -> None:
        """Show the job as it now is."""


def progress_for(output: Output) -> JobProgress:
    """A live bar on a terminal, lines otherwise."""
    return _JobBar() if output.has_live_progress else _Lines(output)


class _Unseen:
    """For those who have seen it already."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, job: dict[str, Any]) -> None:
        pass


class _Lines:
    """For logs and pipes: a line per phase, and one every few seconds."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._phase = ""
        self._next = 0.0

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        return None

    def update(self, job: dict[str, Any]) -> None:
        progress = job.get("progress") or {}
        phase = str(progress.get("phase") or job["state"])
        if phase == self._phase and time.monotonic() < self._next:
            return
        self._phase, self._next = phase, time.monotonic() + PLAIN_LINE_SECONDS
        self._output.news(f"{job.get('kind', 'job')}: {describe_progress(progress | {'phase': phase})}")


class _JobBar:
    """For people: one live bar with the measures behind it."""

    def __init__(self) -> None:
        self._bar = Bar("waiting")

    def __enter__(self) -> Self:
        self._bar.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.__exit__()

    def update(self, job: dict[str, Any]) -> None:
        progress = job.get("progress") or {}
        is_done, steps = job["state"] == "done", _number(progress.get("steps"))
        self._bar.update(
            f"{job.get('kind', 'job')} · {progress.get('phase') or job['state']}",
            measures_of(progress),
            completed=steps or 1 if is_done else _number(progress.get("step")) or 0,
            total=steps or (1 if is_done else None),
        )


def _number(value: object) -> float | None:
    """A number that a worker told, if it is one that can be shown."""
    return value if isinstance(value, int | float) and isfinite(value) and abs(value) < MOST else None
