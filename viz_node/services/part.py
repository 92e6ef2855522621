"""What one stage of a node brings to it: a `Part`. A new command touches one Part, its command and its page.

Operations are what people ask for, by the local API's names; handlers carry out jobs, those of one lane one after
another; answers go to peers, by method; watchers take what is open one step on, again and again; checks tell at once
what the watchers found to be not well.
"""

import inspect
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Generic, TypeAlias, TypeVar

from viz_node.domain.health import Check
from viz_node.domain.job import Job
from viz_node.domain.orders import Order
from viz_node.ports.node import AnswerPeer

Report = Callable[[object], None]
"""Takes how far a job is: a record, which people see as JSON."""
OrderT = TypeVar("OrderT", bound=Order)
Handler: TypeAlias = Callable[[Job[OrderT], Report], Awaitable[object]]
"""Carries out jobs of one kind; its result is a record, which people see as JSON."""
Operation = Callable[..., Awaitable[object]]
Watcher = Callable[[], Awaitable[None]]


class Lane(StrEnum):
    """Jobs of one lane run one after another."""

    COMPUTE = "compute"
    INFERENCE = "inference"
    MARKET = "market"
    METERED = "metered"
    TRANSFER = "transfer"
    FEDERATION = "federation"


@dataclass(frozen=True)
class Kind(Generic[OrderT]):
    """One kind of job: the order that asks for it, its lane, and what carries it out."""

    order: type[OrderT]
    lane: Lane
    handler: Handler[OrderT]


@dataclass(frozen=True)
class Part:
    """One stage of the node, as the composition root puts it to work."""

    operations: Mapping[str, Operation]
    answers: Mapping[str, AnswerPeer] = field(default_factory=dict)
    watchers: tuple[Watcher, ...] = ()
    checks: tuple[Callable[[], Check], ...] = ()
    kinds: tuple[Kind[Any], ...] = ()


def operations_of(*desks: object) -> dict[str, Operation]:
    """The public coroutine methods of these objects, by name."""
    found: dict[str, Operation] = {}
    for desk in desks:
        for name, method in inspect.getmembers(desk, inspect.iscoroutinefunction):
            if not name.startswith("_"):
                found[name] = method
    return found
