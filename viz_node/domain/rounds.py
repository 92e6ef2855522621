"""What a worker may be ordered to do for a federation, and what it answers: the rounds of both roles."""

from dataclasses import dataclass

import msgspec

from viz_node.domain.ids import is_hex_digest
from viz_node.domain.limits import MEMBERS, ROUNDS
from viz_node.domain.names import FilePath
from viz_node.domain.recipe import Recipe
from viz_node.domain.training import AUTO, AdapterTrained, BaseModel
from viz_node.domain.worker import WorkerLine, WorkerOrder
from viz_node.errors import UsageError

_RUN_ID_LIMIT = 128


@dataclass(frozen=True)
class Agreement:
    """What every message repeats, so that no vector of another federation or of other terms is ever averaged."""

    run_id: str
    terms_digest: str

    def __post_init__(self) -> None:
        """Check both. Raises: UsageError."""
        if not 0 < len(self.run_id) <= _RUN_ID_LIMIT:
            raise UsageError("a federation's run id has 1 to 128 characters")
        if not is_hex_digest(self.terms_digest):
            raise UsageError("the terms digest is not 64 lower-case hex digits")


@dataclass(frozen=True)
class Layout:
    """Which numbers a vector holds; only vectors of the same layout are added."""

    digest: str
    size: int


class Coordinate(WorkerOrder, frozen=True, tag="coordinate"):
    """Run the rounds, from their checkpoint if there is one; answered by `RoundsRun`.

    `layout_digest` and `vector_size` name the only layout that is admitted; without them most of the first members do.
    Raises: UsageError (numbers out of range).
    """

    run_id: str
    terms_digest: str
    rounds: int
    state_dir: FilePath
    members: int
    min_members: int
    weight_cap: int = 1_000_000
    layout_digest: str = ""
    vector_size: int = 0
    fleet_port: int = 0
    database: FilePath | None = None
    max_rms_change: float = 1.0
    join_seconds: float = 600.0
    round_seconds: float = 43_200.0
    straggler_seconds: float = 600.0
    closing_seconds: float = 120.0
    patience_seconds: float = 86_400.0

    def __post_init__(self) -> None:
        ROUNDS.check(self.rounds)
        MEMBERS.check(self.members)
        if self.weight_cap < 1:
            raise UsageError("a federation needs a weight cap of at least 1")
        if not 1 <= self.min_members <= self.members:
            raise UsageError("min_members must be between 1 and members")

    @property
    def agreement(self) -> Agreement:
        """What every message repeats. Raises: UsageError (malformed)."""
        return Agreement(self.run_id, self.terms_digest)

    @property
    def layout(self) -> Layout | None:
        """The only one that is admitted, if the order names one."""
        return Layout(self.layout_digest, self.vector_size) if self.layout_digest and self.vector_size else None


class TakePart(WorkerOrder, frozen=True, tag="member"):
    """Train as a member until the closing; answered by `PartTaken`. With an `out_dir` the adapter is saved there."""

    run_id: str
    terms_digest: str
    rounds: int
    fleet_address: str
    base: BaseModel
    texts: tuple[str, ...]
    eval_texts: tuple[str, ...]
    recipe: Recipe
    run_seed: str
    name: str = ""
    out_dir: FilePath | None = None
    patience_seconds: float = 86_400.0
    device: str = AUTO

    @property
    def agreement(self) -> Agreement:
        """What every message repeats. Raises: UsageError (malformed)."""
        return Agreement(self.run_id, self.terms_digest)


class Listening(WorkerLine, frozen=True, tag="listening"):
    """The coordinator's door is open at this port of the loopback."""

    fleet_port: int


class Resumed(WorkerLine, frozen=True, tag="resumed"):
    """The coordinator goes on after so many finished rounds."""

    rounds: int


class MemberSeen(WorkerLine, frozen=True, tag="member"):
    """A member was `admitted`, `refused` or has `left`, and why."""

    member: str
    state: str
    reason: str


class RoundFacts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, rename={"round_number": "round"}):
    """One finished round, as checkpoints keep it: by member what was trained and how it was weighed."""

    round_number: int
    members: tuple[str, ...]
    tokens: dict[str, int]
    weights: dict[str, int]
    losses: dict[str, float]
    refused: dict[str, str]
    loss: float
    seconds: float
    vector_digest: str


class MemberLoss(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a member states about the final vector; nothing that is counted on."""

    loss: float | None = None
    tokens: int | None = None


class Closing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Who got the final vector, and what they said of it."""

    members: dict[str, MemberLoss]
    delivered: int


class RoundsRun(WorkerLine, frozen=True, tag="done"):
    """All rounds are finished, and the final vector is in its file."""

    vector_path: FilePath
    vector_digest: str
    layout_digest: str
    vector_size: int
    rounds: tuple[RoundFacts, ...]
    evaluation: Closing


class PartTaken(WorkerLine, frozen=True, tag="done"):
    """The coordinator has closed; `saved` is the adapter, if one was wanted."""

    rounds_trained: tuple[int, ...]
    loss: float | None = None
    tokens: int = 0
    saved: AdapterTrained | None = None
