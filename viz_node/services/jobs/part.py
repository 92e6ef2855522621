"""The jobs' part: what runs, and how a person stops it or tries it again."""

from dataclasses import replace

from viz_node.services.jobs.runner import JobRunner, ShownJob, describe_job
from viz_node.services.part import Part, operations_of


class JobOperations:
    """What people ask of jobs."""

    def __init__(self, jobs: JobRunner) -> None:
        self._jobs = jobs

    async def jobs_list(self) -> list[ShownJob]:
        """All jobs, the newest first."""
        return [describe_job(job) for job in self._jobs.list_jobs()]

    async def jobs_show(self, *, job: str) -> ShownJob:
        """One job."""
        return describe_job(self._jobs.find(job))

    async def jobs_cancel(self, *, job: str) -> ShownJob:
        """Stop a job; `stopping` says that what it was doing is not over after a few seconds."""
        cancelled = self._jobs.cancel(job)
        return replace(describe_job(cancelled), stopping=not await self._jobs.settled(cancelled.job_id))

    async def jobs_resume(self, *, job: str) -> ShownJob:
        """Queue a stopped job again."""
        await self._jobs.settled(job)
        return describe_job(self._jobs.resume(job))


def jobs_part(jobs: JobRunner) -> Part:
    """Whatever carries the jobs out, they are shown here."""
    return Part(operations_of(JobOperations(jobs)))
