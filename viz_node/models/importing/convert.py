"""From a stranger's adapter to ours: one rank, one whole alpha, and matrices that compute what PEFT computed.

Our form has one rank R and one alpha for all layers, so that each computes `alpha / R * B A`. A layer of a lower rank
gets rows and columns of zeros, which change nothing. A layer with another scale has the quotient multiplied into its B:
a power of two costs no precision, and anything else costs one rounding to 32 bits.
"""

import json
import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from io import BufferedReader
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from viz_node.errors import VerificationError
from viz_node.models.adapter_files import (
    CONFIG_NAME,
    MAX_ALPHA,
    MAX_WEIGHTS_BYTES,
    WEIGHTS_NAME,
    config_bytes,
    tensor_name,
)
from viz_node.models.importing.matching import Matcher, bounded
from viz_node.models.importing.peft_config import MAX_SCALE, ForeignConfig, refuse
from viz_node.models.importing.weights import ITEM_BYTES, Matrix, Pair, read_matrix

_MOST_DOUBLINGS = 24
_STEPS = tuple(step for size in range(_MOST_DOUBLINGS + 1) for step in ((size, -size) if size else (0,)))


@dataclass(frozen=True)
class Layer:
    """One layer's matrices, and what its B is multiplied with so that the common scale fits."""

    pair: Pair
    factor: float


@dataclass(frozen=True)
class Conversion:
    """How the adapter is rewritten; `steps` says it in words, and is empty where only names change."""

    rank: int
    alpha: int
    layers: Mapping[str, Layer]
    steps: tuple[str, ...]

    def write(self, file: BufferedReader, directory: Path, targets: Sequence[str], base_name: str) -> None:
        """Write the two files of our form into the folder, which is there and empty.

        Raises: VerificationError (the source ended early), UsageError (a name that our form cannot hold), OSError.
        """
        (directory / CONFIG_NAME).write_bytes(config_bytes(self.rank, self.alpha, targets, base_name))
        kinds = dict(self._kinds())
        header, position = {}, 0
        for name, (dtype, shape) in kinds.items():
            end = position + shape[0] * shape[1] * ITEM_BYTES[dtype]
            header[name] = {"dtype": dtype, "shape": list(shape), "data_offsets": [position, end]}
            position = end
        raw = json.dumps({"__metadata__": {"format": "pt"}} | header, separators=(",", ":")).encode()
        # Readers map the file into memory, and map numbers at multiples of their size.
        raw += b" " * (-len(raw) % 8)
        if 8 + len(raw) + position > MAX_WEIGHTS_BYTES:
            raise VerificationError("the adapter is larger than 2 GiB", "train it again with a lower rank")
        with (directory / WEIGHTS_NAME).open("wb") as out:
            out.write(len(raw).to_bytes(8, "little") + raw)
            for layer in self.layers.values():
                out.write(self._bytes(file, layer.pair.a, 1.0, 0))
                out.write(self._bytes(file, layer.pair.b, layer.factor, 1))

    def _kinds(self) -> Iterator[tuple[str, tuple[str, tuple[int, int]]]]:
        for path, layer in self.layers.items():
            yield tensor_name(path, "A"), (layer.pair.a.dtype, (self.rank, layer.pair.a.shape[1]))
            dtype = layer.pair.b.dtype if layer.factor == 1 else "F32"
            yield tensor_name(path, "B"), (dtype, (layer.pair.b.shape[0], self.rank))

    def _bytes(self, file: BufferedReader, matrix: Matrix, factor: float, axis: int) -> bytes:
        """The matrix as it is written: its own bytes where nothing but zeros is added along `axis`."""
        missing = self.rank - matrix.shape[axis]
        if factor != 1:
            values: NDArray[np.generic] = (read_matrix(file, matrix).astype(np.float64) * factor).astype("<f4")
        else:
            file.seek(matrix.start)
            kind = "<u4" if matrix.dtype == "F32" else "<u2"
            values = np.frombuffer(file.read(matrix.size), kind).reshape(matrix.shape)
        padded: NDArray[np.generic] = np.pad(values, [(0, missing), (0, 0)] if axis == 0 else [(0, 0), (0, missing)])
        return bytes(padded.tobytes())


def plan_conversion(config: ForeignConfig, pairs: Mapping[str, Pair]) -> Conversion:
    """Rank, alpha and factors for these layers.

    Raises: VerificationError (configuration and weights do not belong together, or the scale is absurd).
    """
    squares: dict[str, Fraction] = {}
    with bounded():
        matcher = Matcher(config)
        for path, pair in pairs.items():
            if not matcher.is_meant(path):
                refuse(f"it does not mean {path}, of which there are weights, so PEFT would pass over them")
            if pair.a.shape[0] != matcher.rank(path):
                refuse(f"{path} is to have rank {matcher.rank(path)}, and its matrices have {pair.a.shape[0]}")
            squares[path] = matcher.scale_squared(path)
    if max(squares.values()) > MAX_SCALE**2:
        refuse("its updates are scaled by more than 1024", "is it the right adapter?")
    rank = max(pair.a.shape[0] for pair in pairs.values())
    # The square of the alpha that each layer would have in our form.
    wanted = {path: square * rank * rank for path, square in squares.items()}
    alpha = _choose_alpha(wanted)
    layers = {path: Layer(pair, _factor(wanted[path], alpha)) for path, pair in pairs.items()}
    return Conversion(rank, alpha, layers, tuple(_steps(config, rank, alpha, layers)))


def targeted_without_weights(config: ForeignConfig, pairs: Mapping[str, Pair], layers: Sequence[str]) -> list[str]:
    """Those of a base model's layers that the configuration means and the file has no weights for.

    Raises: VerificationError (an expression takes too long).
    """
    with bounded():
        matcher = Matcher(config)
        return [path for path in layers if path not in pairs and matcher.is_meant(path)]


def _choose_alpha(wanted: Mapping[str, Fraction]) -> int:
    """A whole alpha that as many layers as possible have exactly, or up to a power of two."""
    for square, _ in Counter(wanted.values()).most_common():
        root = _root(square)
        if root is None:
            continue
        for doublings in _STEPS:
            alpha = root * Fraction(2) ** doublings
            if alpha.denominator == 1 and 1 <= alpha <= MAX_ALPHA:
                return int(alpha)
    commonest = Counter(wanted.values()).most_common(1)[0][0]
    return min(MAX_ALPHA, max(1, round(math.sqrt(commonest))))


def _factor(square: Fraction, alpha: int) -> float:
    root = _root(square)
    return float(root / alpha) if root is not None else math.sqrt(square) / alpha


def _root(square: Fraction) -> Fraction | None:
    """The square root, if it is a fraction."""
    above, below = math.isqrt(square.numerator), math.isqrt(square.denominator)
    return Fraction(above, below) if Fraction(above, below) ** 2 == square else None


def _steps(config: ForeignConfig, rank: int, alpha: int, layers: Mapping[str, Layer]) -> Iterator[str]:
    factors = [layer.factor for layer in layers.values() if layer.factor != 1]
    rounded = [factor for factor in factors if math.frexp(factor)[0] != 0.5]
    padded = sum(layer.pair.a.shape[0] != rank for layer in layers.values())
    if config.is_rank_stabilized:
        yield f"rank-stabilized scale written as alpha {alpha}"
    elif alpha != config.alpha:
        yield f"alpha {_readable(config.alpha)} written as {alpha}"
    if padded:
        yield f"{padded} layers of lower ranks padded with zeros to rank {rank}"
    if factors:
        precision = "rounded to 32 bits" if rounded else "exact"
        yield f"the scale of {len(factors)} layers multiplied into their B ({precision})"


def _readable(alpha: Fraction) -> str:
    return str(alpha) if alpha.denominator == 1 else f"{float(alpha):g}"
