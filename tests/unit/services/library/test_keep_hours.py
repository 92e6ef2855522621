"""Work at some hours of the day: begun, broken off, gone on with, cancelled."""

import asyncio
from typing import Any

import pytest

from viz_node.domain.hours import Hours
from viz_node.domain.job import JobStep
from viz_node.services.library import keep_hours
from viz_node.services.library.keep_hours import within

NIGHT = Hours(60, 120)


class Work:
    """Takes two beginnings: the first one is broken off, the second one is done."""

    def __init__(self) -> None:
        self.begun = self.broken_off = 0
        self.told: list[Any] = []

    async def __call__(self) -> str:
        self.begun += 1
        if self.begun > 1:
            return "done"
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            self.broken_off += 1
            raise
        return "never"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keep_hours, "_LOOK_SECONDS", 0.001)


async def test_within__no_hours__is_the_work() -> None:
    async def work() -> int:
        return 3

    assert await within(None, lambda: 0, work, print) == 3


async def test_within__hours_end__broken_off_and_begun_again_when_they_come() -> None:
    work, minutes = Work(), iter([50, 59, 60, 60, 119, 120, 30, 60])
    assert await within(NIGHT, lambda: next(minutes, 60), work, work.told.append) == "done"
    assert (work.begun, work.broken_off) == (2, 1)
    assert set(work.told) == {JobStep("waits until 01:00", 0, 1)}


async def test_within__cancelled__the_work_is_broken_off_first() -> None:
    work = Work()
    task = asyncio.create_task(within(NIGHT, lambda: 60, work, work.told.append))
    while not work.begun:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert work.broken_off == 1


async def test_within__work_fails__its_own_error() -> None:
    async def work() -> None:
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await within(NIGHT, lambda: 60, work, print)
