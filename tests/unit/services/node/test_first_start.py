"""What a first development start does, what it leaves alone, and where it goes on after a crash."""

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from viz_node.domain.ids import TokenAmount, WorkId
from viz_node.domain.job import Job, Queued
from viz_node.domain.orders import InstallBaseOrder, PublishOrder, TrainOrder
from viz_node.domain.permissions import Permissions
from viz_node.domain.recipe import parse_recipe
from viz_node.domain.records import AdapterRecord
from viz_node.domain.terms import AskedPublication, PublicationTerms
from viz_node.domain.work import SAMPLE_AUTHOR, Rights, Work
from viz_node.errors import TrainingError
from viz_node.services.jobs.runner import JobRunner
from viz_node.services.node.first_start import SAMPLE_NAME, FirstStart
from viz_node.services.part import Kind, Lane
from viz_node.storage.store import Store


@dataclass
class World:
    """The node's operations on a real store and real jobs; what a job makes is kept here, as disk and chain keep it."""

    store: Store
    jobs: JobRunner
    installed: list[str] = field(default_factory=list)
    offered: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)
    fails_at: str = ""
    hangs_at: str = ""

    def __post_init__(self) -> None:
        self.workshop = self.works = self
        for order in (InstallBaseOrder, TrainOrder, PublishOrder):
            self.jobs.register(Kind(order, Lane.COMPUTE, self.carry_out))

    def bases(self) -> list[str]:
        return self.installed

    def published(self) -> list[AdapterRecord]:
        return [self.store.adapters.find_adapter(name) for name in self.offered]

    async def add(self, paths: list[str], rights: str, author: str) -> None:
        known = {work.title for work in self.store.works.list_works()}
        for path in set(paths) - known:
            self.store.works.add_work(make_work(path, author, rights), path)

    async def train(self, *, name: str, content: list[str], recipe: dict[str, Any]) -> Queued:
        assert [self.store.works.find_work(work).author for work in content] == [SAMPLE_AUTHOR] * 2
        return self.jobs.accept(TrainOrder(name, tuple(map(WorkId, content)), None, parse_recipe(recipe)))

    async def publish(self, asked: AskedPublication) -> Queued:
        terms = PublicationTerms(
            price=TokenAmount(1), kind="perpetual", split={"0x" + "11" * 20: 10_000}, permissions=Permissions()
        )
        return self.jobs.accept(PublishOrder(asked.adapter, terms))

    async def carry_out(self, job: Job, report: Any) -> dict[str, Any]:
        if job.kind == self.hangs_at:
            await asyncio.Event().wait()
        if job.kind == self.fails_at:
            raise TrainingError("it broke")
        self.done.append(job.kind)
        if job.kind == "base_install":
            self.installed.append("base-0")
        elif job.kind == "train":
            self.store.adapters.save_adapter(AdapterRecord(SAMPLE_NAME, None, "base-0", "0" * 64, "d", "trained"))
        else:
            self.offered.append(SAMPLE_NAME)
        return {}


def make_work(path: str, author: str, rights: str) -> Work:
    return Work(f"{hash(path) % 2**64:064x}", path, author, Rights(rights), "text/plain", 1, 1, "0" * 64, "00", 1)  # type: ignore[arg-type]


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    opened = Store(tmp_path / "node.db")
    yield opened
    opened.close()


def make_world(store: Store, **state: Any) -> World:
    return World(store, JobRunner(store.jobs, lambda: 1), **state)


async def run(world: World, with_sample: bool = True, until: Any = None) -> tuple[Any, list[tuple[str, str]]]:
    """One start of the node, ended by `until` when given: the result, and what was told."""
    told: list[tuple[str, str]] = []
    rooms: Any = world
    sample = FirstStart(world.store, world.jobs, rooms, rooms, rooms, lambda: [Path("a.txt"), Path("b.txt")])
    async with asyncio.TaskGroup() as group:
        world.jobs.start(group)
        task = group.create_task(sample.run(with_sample, lambda job: told.append((job.kind, str(job.state)))))
        if until is not None:
            await asyncio.wait_for(until(world), 5)
        else:
            await asyncio.wait([task], timeout=5)
        await world.jobs.stop()
    return task.result(), told


async def is_running(world: World) -> None:
    while not any(job.state == "running" and job.kind == world.hangs_at for job in world.jobs.list_jobs()):
        await asyncio.sleep(0)


async def test_run__new_node__builds_trains_publishes_and_says_so(store: Store) -> None:
    world = make_world(store)
    result, told = await run(world)
    assert world.done == ["base_install", "train", "publish"]
    assert result.name == SAMPLE_NAME
    assert [kind for kind, state in told if state == "done"] == world.done


async def test_run__again__does_and_says_nothing(store: Store) -> None:
    first = make_world(store)
    await run(first)
    second = make_world(store, installed=first.installed, offered=first.offered)
    assert await run(second) == (None, [])
    assert second.done == []


@pytest.mark.parametrize("stage", ["base_install", "train", "publish"])
async def test_run__killed_in_a_stage__next_start_goes_on_and_publishes_once(store: Store, stage: str) -> None:
    first = make_world(store, hangs_at=stage)
    assert (await run(first, until=is_running))[0] is None
    second = make_world(store, installed=first.installed, offered=first.offered)
    result, _ = await run(second)
    assert result is not None
    assert first.done + second.done == ["base_install", "train", "publish"]
    assert len(store.jobs.list_jobs()) == 3
    assert len(store.works.list_works()) == 2


async def test_run__a_stage_fails__ends_and_the_next_start_tries_again(store: Store) -> None:
    first = make_world(store, fails_at="train")
    result, told = await run(first)
    assert result is None
    assert told[-1] == ("train", "failed")
    second = make_world(store, installed=first.installed)
    assert (await run(second))[0] is not None
    assert second.done == ["train", "publish"]


async def test_run__cancelled_by_the_owner__is_not_tried_again(store: Store) -> None:
    async def cancel(world: World) -> None:
        await is_running(world)
        world.jobs.cancel(world.jobs.list_jobs()[0].job_id)

    first = make_world(store, installed=["base-0"], hangs_at="train")
    await run(first, until=cancel)
    second = make_world(store, installed=["base-0"])
    assert (await run(second))[0] is None
    assert second.done == []


async def test_run__own_works_already_or_no_sample_wanted__base_only(store: Store) -> None:
    unwanted = make_world(store)
    assert (await run(unwanted, with_sample=False))[0] is None
    assert unwanted.done == ["base_install"]
    store.works.add_work(make_work("mine", "Me", "owned"), "mine")
    owner = make_world(store)
    assert (await run(owner))[0] is None
    assert owner.done == ["base_install"]
