"""A look at the spectrum of an adapter's updates, for a hint that it may hold a backdoor.

"Weight space Detection of Backdoors in LoRA Adapters" (Puertolas Merenciano et al. 2026, arXiv 2602.15195) finds that
training on a trigger concentrates an update in its first singular direction. The statistic here is theirs, the first
singular value's share of the sum of all, compared with adapters that were trained honestly on our own base model
(`benchmarks/spectrum.py`). It is a hint and no proof, either way: a text that repeats itself concentrates an update
too, and a careful attacker spreads one.
"""

import math
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BufferedReader

import numpy as np
from numpy.typing import NDArray

from viz_node.models.importing.weights import Pair, read_matrix


@dataclass(frozen=True)
class Spectrum:
    """The concentration of an adapter's updates: their mean and their largest, from 1/rank to 1, and which layer's."""

    mean: float
    largest: float
    layer: str
    limit: float

    def is_conspicuous(self) -> bool:
        """Whether honest adapters of this rank were all less concentrated."""
        return self.mean > self.limit

    def sentence(self) -> str:
        """The warning with its evidence."""
        return (
            f"its updates are more concentrated ({self.mean:.2f}) than those of any adapter trained honestly here "
            f"({self.limit:.2f}; {self.layer} {self.largest:.2f}), as a backdoor would be: a hint, no proof"
        )


def measure(file: BufferedReader, pairs: Mapping[str, Pair], tell: Callable[[int, int], None]) -> Spectrum | None:
    """The spectrum of all layers that change something; None for rank 1, whose spectrum says nothing.

    `tell` hears how many layers of how many are done.
    """
    shares: dict[str, float] = {}
    for number, (path, pair) in enumerate(pairs.items()):
        tell(number, len(pairs))
        if pair.a.shape[0] > 1 and (share := concentration(read_matrix(file, pair.a), read_matrix(file, pair.b))):
            shares[path] = share
    if not shares:
        return None
    layer = max(shares, key=lambda path: shares[path])
    rank = max(pair.a.shape[0] for pair in pairs.values())
    return Spectrum(statistics.fmean(shares.values()), shares[layer], layer, honest_limit(rank))


def concentration(a: NDArray[np.float32], b: NDArray[np.float32]) -> float:
    """The first singular value of B A as a share of the sum of all; 0 if B A is zero.

    `a` is rank x inputs, `b` is outputs x rank. The product is never formed: its singular values are those of a matrix
    of the rank's size.
    """
    wide_a, wide_b = a.astype(np.float64), b.astype(np.float64)
    values, vectors = np.linalg.eigh(wide_b.T @ wide_b)
    root = np.sqrt(np.maximum(values, 0))[:, None] * vectors.T
    squares = np.linalg.eigvalsh(root @ (wide_a @ wide_a.T) @ root.T)
    singular = np.sqrt(np.maximum(squares, 0))
    total = float(singular.sum())
    return float(singular.max()) / total if total > 0 else 0.0


def honest_limit(rank: int) -> float:
    """What no adapter of this rank exceeded that was trained honestly here, with a tenth to spare."""
    return min(1.0, 1.1 * _HIGHEST_SHARE / math.log2(2 * rank)) if rank > 1 else 1.0


_HIGHEST_SHARE = 2.0
