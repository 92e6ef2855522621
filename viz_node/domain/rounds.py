"""What a worker may be ordered to do for a federation, and what it answers: the rounds of both roles."""

import msgspec

from viz_node.domain.names import FilePath
from viz_node.domain.recipe import Recipe
from viz_node.domain.training import AdapterTrained, BaseModel
from viz_node.domain.worker import WorkerLine, WorkerOrder


class Coordinate(WorkerOrder, frozen=True, tag="coordinate"):
    """Run the rounds, from their checkpoint if there is one; answered by `RoundsRun`.

    `layout_digest` and `vector_size` name the only layout that is admitted; without them most of the first members do.
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
