"""A member's worker whose model is a vector: half a step to its own target per round, when the gate is open.

The order is a `TakePart` with a `gate` directory, where the member writes
`began-<name>-<round>` and trains when it finds `open-<round>`. All between this trainer and the coordinator is real.
"""

import hashlib
import sys
from pathlib import Path

import numpy as np
from msgspec import structs

from tests.waiting import until_blocking
from viz_node.daemon.federation_worker import set_flower_defaults
from viz_node.domain.names import FilePath
from viz_node.domain.rounds import PartTaken, TakePart
from viz_node.domain.training import AdapterTrained
from viz_node.workers.serve import Emit, serve

SIZE = 500


class GatedPart(TakePart, frozen=True, tag="gated"):
    """The order."""

    gate: str = ""


class GatedTrainer:
    """Fits `viz_node.federation.trainer.Trainer`."""

    size = SIZE
    layout_digest = hashlib.sha256(b"least squares").hexdigest()

    def __init__(self, name: str, gate: Path) -> None:
        self._name, self._gate = name, gate
        seed = int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big")
        self._target = np.random.default_rng(seed).normal(size=SIZE).astype(np.float32) * np.float32(0.5)

    def initial(self) -> np.ndarray:
        return np.zeros(SIZE, dtype=np.float32)

    def train_round(self, vector: np.ndarray, number: int, rounds: int) -> tuple[np.ndarray, int, float]:
        (self._gate / f"began-{self._name}-{number}").touch()
        until_blocking((self._gate / f"open-{number}").exists, bool, 120, "the gate opens")
        return vector + np.float32(0.5) * (self._target - vector), 100, self.evaluate(vector)[0]

    def evaluate(self, vector: np.ndarray) -> tuple[float, int]:
        return float(np.mean((vector - self._target) ** 2)), 100

    def save(self, vector: np.ndarray, out_dir: Path) -> AdapterTrained:
        out_dir.mkdir(parents=True, exist_ok=True)
        np.save(out_dir / "adapter.npy", vector)
        return AdapterTrained(FilePath(str(out_dir)), {}, {"method": "least squares"}, {})


def carry_out(order: GatedPart, emit: Emit) -> PartTaken:
    gate = Path(order.gate)
    set_flower_defaults(gate / "flower")
    from viz_node.federation.member import take_part

    return take_part(structs.replace(order, patience_seconds=30.0), GatedTrainer(order.name, gate), emit)


if __name__ == "__main__":
    sys.exit(serve(GatedPart, carry_out))
