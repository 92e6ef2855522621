"""Work that runs only at some hours of the day, and is broken off at their end to go on the next day."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from viz_node.domain.hours import Hours
from viz_node.domain.job import JobStep
from viz_node.services.part import Report

Result = TypeVar("Result")
_LOOK_SECONDS = 20.0
"""A machine that slept finds the hours changed when it wakes."""


async def within(
    hours: Hours | None, minute_of_day: Callable[[], int], work: Callable[[], Awaitable[Result]], report: Report
) -> Result:
    """The result of the work, which can be broken off at any time and begun again. Raises: the work's errors."""
    if hours is None:
        return await work()
    while True:
        while not hours.minutes_to_end(minute_of_day()):
            report(JobStep(f"waits until {hours.text()[:5]}", 0, 1))
            await asyncio.sleep(_LOOK_SECONDS)
        task = asyncio.ensure_future(work())
        try:
            while not task.done() and hours.minutes_to_end(minute_of_day()):
                await asyncio.wait([task], timeout=_LOOK_SECONDS)
        except BaseException:
            await _broken_off(task)
            raise
        if task.done():
            return task.result()
        await _broken_off(task)


async def _broken_off(task: "asyncio.Future[Result]") -> None:
    task.cancel()
    with suppress(asyncio.CancelledError, Exception):
        await task
