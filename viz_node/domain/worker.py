"""The records that nodes and their workers exchange: orders, and the lines that answer them."""

from typing import TypeVar

import msgspec


class WorkerOrder(msgspec.Struct, frozen=True, kw_only=True, tag_field="order", forbid_unknown_fields=True):
    """Base of everything that a worker may be told to do; `order` names the kind."""


Order = TypeVar("Order", bound=WorkerOrder)


def placed(order: Order, device: str) -> Order:
    """The order, carried out on this device; it must be one with a `device`."""
    return msgspec.structs.replace(order, device=device)


HALT_LINE = b'{"order":"halt"}\n'
"""To a worker that takes several orders: leave the one that you are at, and say `Halted`."""


class WorkerLine(msgspec.Struct, frozen=True, tag_field="event", forbid_unknown_fields=True, omit_defaults=True):
    """Base of everything that a worker may say; `event` names the kind, and `done` is the result."""


class Progress(WorkerLine, frozen=True, tag="progress"):
    """How far it is: `step` of `steps` of a phase; a number that is not finite travels as None."""

    phase: str
    step: int
    steps: int
    loss: float | None = None
    tokens_per_second: float | None = None
    eta_seconds: float | None = None


class TextPiece(WorkerLine, frozen=True, tag="token"):
    """The next piece of a text that is being written."""

    text: str


class Failure(WorkerLine, frozen=True, tag="error"):
    """Why a worker did not do it, as `describe_error` gives it."""

    error: str
    message: str
    hint: str = ""


class Halted(WorkerLine, frozen=True, tag="halted"):
    """A worker has left its work, as it was told."""
