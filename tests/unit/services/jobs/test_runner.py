"""Durable orders: one after another per lane, resumed after a crash, cancelled and tried again by a person."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, ClassVar

import pytest

from tests.fakes.store import MemoryStore
from viz_node.domain.job import Job, JobState
from viz_node.domain.orders import FederateOrder, Order, parse_order
from viz_node.errors import NotFoundError, RefusedError, UsageError
from viz_node.services.jobs.runner import JobRunner, describe_job
from viz_node.services.part import Kind, Lane, Report


@dataclass(frozen=True)
class Slow(Order):
    kind: ClassVar[str] = "slow"
    name: str
    secret: str = "text"


class Other(Slow):
    kind = "other"


class Quick(Slow):
    kind = "quick"


ORDERS = {order.kind: order for order in (Slow, Other, Quick)}
LANES = {"slow": Lane.MARKET, "other": Lane.MARKET, "quick": Lane.COMPUTE}


class Shop:
    """A runner whose jobs of kind `slow` and `other` wait for `go`."""

    def __init__(self, store: MemoryStore, group: asyncio.TaskGroup) -> None:
        self.store, self.group = store, group
        self.begun: list[str] = []
        self.entered = asyncio.Queue[str]()
        self.go = asyncio.Event()
        self.error: Exception | None = None
        self.runner = self.new_runner()

    def new_runner(self) -> JobRunner:
        runner = JobRunner(self.store.jobs, lambda: 1)
        for kind, lane in LANES.items():
            runner.register(Kind(ORDERS[kind], lane, self.work))
        runner.start(self.group)
        return runner

    async def work(self, job: Job, report: Report) -> dict[str, Any]:
        self.begun.append(job.order.name)
        self.entered.put_nowait(job.order.name)
        report({"phase": "work", "step": 1, "steps": 2})
        if job.kind != "quick":
            await self.go.wait()
        if self.error:
            raise self.error
        return {"made": job.order.name}

    def submit(self, kind: str, name: str) -> str:
        return self.runner.accept(ORDERS[kind](name)).job_id

    async def ended(self, job_id: str) -> Job:
        return await self.runner.follow(job_id, lambda _: None)


@pytest.fixture
async def shop() -> AsyncIterator[Shop]:
    async with asyncio.TaskGroup() as group:
        running = Shop(MemoryStore(), group)
        yield running
        await running.runner.stop()


async def test_submit__done__has_result_and_says_nothing_of_the_order(shop: Shop) -> None:
    job = await shop.ended(shop.submit("quick", "a"))
    assert (job.state, job.result) == (JobState.DONE, {"made": "a"})
    assert "secret" not in str(describe_job(job))


async def test_submit__two_of_a_lane__one_after_the_other_and_others_meanwhile(shop: Shop) -> None:
    first, second = shop.submit("slow", "a"), shop.submit("other", "b")
    await shop.ended(shop.submit("quick", "c"))
    assert shop.begun == ["a", "c"]
    assert shop.runner.find(first).progress == {"phase": "work", "step": 1, "steps": 2}
    shop.go.set()
    await shop.ended(second)
    assert shop.begun == ["a", "c", "b"]


@pytest.mark.parametrize(
    ("error", "start"), [(RefusedError("no", "try"), "RefusedError: no"), (ZeroDivisionError("x"), "Zero")]
)
async def test_handler__raises__job_failed_and_may_be_resumed(shop: Shop, error: Exception, start: str) -> None:
    shop.error = error
    job = await shop.ended(shop.submit("quick", "a"))
    assert job.state is JobState.FAILED
    assert job.error.startswith(start)
    shop.error = None
    resumed = await shop.ended(shop.runner.resume(job.job_id).job_id)
    assert (resumed.state, resumed.error) == (JobState.DONE, "")
    with pytest.raises(UsageError):
        shop.runner.resume(job.job_id)


async def test_stop__running_and_waiting_jobs__run_at_the_next_start_in_order(shop: Shop) -> None:
    shop.submit("slow", "a")
    waiting = shop.submit("other", "b")
    await shop.entered.get()
    await shop.runner.stop()
    assert {job.state for job in shop.runner.list_jobs()} <= {JobState.QUEUED, JobState.RUNNING}
    shop.go.set()
    shop.runner = shop.new_runner()
    await shop.ended(waiting)
    assert shop.begun == ["a", "a", "b"]
    assert {job.state for job in shop.runner.list_jobs()} == {JobState.DONE}


async def test_cancel__running_or_waiting__never_runs_again_unless_resumed(shop: Shop) -> None:
    running, waiting = shop.submit("slow", "a"), shop.submit("other", "b")
    await shop.entered.get()
    for job_id in (waiting, running):
        assert shop.runner.cancel(job_id).state is JobState.CANCELLED
    await shop.ended(running)
    await shop.ended(waiting)
    assert (shop.begun, shop.runner.find(running).state) == (["a"], JobState.CANCELLED)
    with pytest.raises(UsageError):
        shop.runner.cancel(running)
    shop.go.set()
    assert (await shop.ended(shop.runner.resume(running).job_id)).state is JobState.DONE


async def test_cancel__what_it_was_doing_does_not_end__says_so_and_when_to_go_on(shop: Shop) -> None:
    at_work, over = asyncio.Event(), asyncio.Event()

    async def stubborn(job: Job, report: Report) -> dict[str, Any]:
        at_work.set()
        while not over.is_set():
            with suppress(asyncio.CancelledError):
                await over.wait()
        raise asyncio.CancelledError

    shop.runner.register(Kind(Quick, Lane.COMPUTE, stubborn))
    job_id = shop.submit("quick", "a")
    await at_work.wait()
    shop.runner.cancel(job_id)
    assert not await shop.runner.settled(job_id, 0.01)
    with pytest.raises(UsageError, match="what it was doing is not over yet") as caught:
        shop.runner.resume(job_id)
    assert caught.value.hint == f"a minute from now: viz-node jobs resume {job_id}"
    over.set()
    assert await shop.runner.settled(job_id)
    assert shop.runner.resume(job_id).state is JobState.QUEUED


async def test_find__unknown__is_not_found(shop: Shop) -> None:
    with pytest.raises(NotFoundError):
        shop.runner.find("nothing")


async def test_undo__done__failed_with_the_cause_and_may_be_resumed(shop: Shop) -> None:
    done = await shop.ended(shop.submit("quick", "a"))
    shop.runner.undo(done.job_id, "the chain took it back")
    job = shop.runner.find(done.job_id)
    assert (job.state, job.error) == (JobState.FAILED, "the chain took it back")
    assert (await shop.ended(shop.runner.resume(job.job_id).job_id)).state is JobState.DONE
    shop.runner.undo("no such job", "nothing happens")


async def test_run__order_that_does_not_parse__the_job_fails_with_a_next_step_and_others_run(shop: Shop) -> None:
    order = parse_order("federate", {"name": "elsin"})
    shop.store.jobs.add_job(Job("j1", "federate", JobState.FAILED, order, 1, 1))

    failed = await shop.ended(shop.runner.resume("j1").job_id)

    assert (failed.state, failed.result["hint"]) == (JobState.FAILED, "order it again")
    assert "Object missing required field `federation`" in failed.error
    assert (await shop.ended(shop.submit("quick", "a"))).state is JobState.DONE


async def test_run__kind_of_another_version__the_job_fails_with_a_next_step(shop: Shop) -> None:
    shop.store.jobs.add_job(Job("j1", "distil", JobState.FAILED, parse_order("distil", {"name": "elsin"}), 1, 1))

    failed = await shop.ended(shop.runner.resume("j1").job_id)

    assert failed.error == "VerificationError: this version knows no job 'distil'"
    assert (failed.state, failed.result["hint"]) == (JobState.FAILED, "order it again")


@dataclass(frozen=True)
class Attended:
    """A result of its own."""

    rounds: tuple[int, ...]


async def test_run__kind_with_a_record__handler_gets_the_order_and_its_result_is_kept_as_json(shop: Shop) -> None:
    async def attend(job: Job[FederateOrder], report: Report) -> Attended:
        report(Attended(()))
        return Attended((len(job.order.name),))

    shop.runner.register(Kind(FederateOrder, Lane.FEDERATION, attend))

    job = await shop.ended(shop.runner.accept(FederateOrder("elsin", "f1")).job_id)

    assert (job.kind, job.progress, job.result) == ("federate", {"rounds": ()}, {"rounds": (5,)})
    assert describe_job(job).name == "elsin"
