"""Waiting for what another thread, process or peer brings about: a deadline, never a guessed pause."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from viz_node.ports.state import State
from viz_node.services.compose import Services

T = TypeVar("T")
_PAUSE_SECONDS = 0.05


async def until(predicate: Callable[[], object | Awaitable[object]], seconds: float, what: str = "") -> None:
    """Wait until `predicate`, a function or a coroutine function, is true; fails with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = predicate()
        if await answer if isinstance(answer, Awaitable) else answer:
            return
        assert time.monotonic() < deadline, f"not within {seconds} s: {what or predicate}"
        await asyncio.sleep(_PAUSE_SECONDS)


class Payer(Protocol):
    """A node, or a member of a test's world."""

    store: State
    services: Services


async def until_shown(node: Payer) -> None:
    """Wait for the transactions that the node has sent and does not wait for itself."""
    for entry in node.store.outbox.pending_outbox():
        await node.services.money.treasury.finish(entry.order_id)


def until_blocking(
    ask: Callable[[], T],
    is_reached: Callable[[T], object],
    seconds: float,
    what: str = "",
    pause_seconds: float = _PAUSE_SECONDS,
) -> T:
    """The first answer of `ask` that `is_reached` accepts; fails with the last answer after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        answer = ask()
        if is_reached(answer):
            return answer
        assert time.monotonic() < deadline, f"not within {seconds} s: {what} {answer!r}"
        time.sleep(pause_seconds)
