"""What a decision comes to when what was asked for is not done: there is nothing to do, or it is refused."""

from dataclasses import dataclass
from typing import TypeVar

from viz_node.errors import VizNodeError

Decision = TypeVar("Decision")


@dataclass(frozen=True)
class NothingToDo:
    """It is done already, or not due yet; `why` is for the log, empty where that is no news."""

    why: str = ""


@dataclass(frozen=True)
class Refusal:
    """Why it is not done: the kind of error, its message and the next step."""

    kind: type[VizNodeError]
    message: str
    hint: str = ""

    def error(self) -> VizNodeError:
        """The error that tells a caller."""
        return self.kind(self.message, self.hint)


def granted(decision: Decision | Refusal) -> Decision:
    """The decision, unless it is a refusal. Raises: the refusal's error."""
    if isinstance(decision, Refusal):
        raise decision.error()
    return decision
