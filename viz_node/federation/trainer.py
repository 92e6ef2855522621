"""What a member of a federation brings: a resident trainer of one flat vector."""

from pathlib import Path
from typing import Protocol, TypeAlias

import numpy as np
from numpy.typing import NDArray

from viz_node.domain.training import AdapterTrained

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
