"""What a member of a federation brings: a resident trainer of one flat vector, and what both sides agree on."""

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from viz_node.domain.ids import is_hex_digest
from viz_node.domain.training import AdapterTrained
from viz_node.errors import UsageError

_RUN_ID_LIMIT = 128

Vector: TypeAlias = NDArray[np.float32]
"""One-dimensional, finite, float32: every trained number of the adapter in the order that `layout_digest` names."""


class Trainer(Protocol):
    """Keeps its model in memory between rounds; knows no network."""

    @property
    def size(self) -> int:
        """Length of the vector."""

    @property
    def layout_digest(self) -> str:
        """SHA-256 in hex of everything that must be equal for vectors to be added: base, modules, ranks, seed."""

    def initial(self) -> Vector:
        """The vector before the first round: zeros."""

    def train_round(self, vector: Vector, round_number: int, rounds: int) -> tuple[Vector, int, float]:
        """Train from `vector`; the new vector, the tokens that it saw and its mean loss."""

    def evaluate(self, vector: Vector) -> tuple[float, int]:
        """Loss on the member's own held-out texts and the number of their tokens."""

    def save(self, vector: Vector, out_dir: Path) -> AdapterTrained:
        """Write the adapter that `vector` stands for; the same result as of a local training."""


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
