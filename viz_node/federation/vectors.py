"""Checks and arithmetic of flat vectors; knows no network and no Flower.

An update is counted only when its length, type, numbers and distance from the round's starting point are right. The
average is `sum(w_i * v_i) / sum(w_i)` with `w_i = min(tokens_i, cap)`, summed in float64 in the order given, so that
every run over the same updates gives the same bytes. The weight is a member's own statement, hence the cap.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from viz_node.errors import UsageError, VerificationError
from viz_node.federation.trainer import Vector

MAX_ELEMENTS = 1 << 28
"""1 GiB of float32: more than the trained half of a rank-32 adapter of a 70B model."""


@dataclass(frozen=True)
class Update:
    """One member's checked result of one round."""

    member: str
    vector: Vector
    tokens: int
    loss: float


def check_vector(array: object, size: int) -> Vector:
    """The array, if it is a finite float32 vector of `size` numbers. Raises: VerificationError."""
    if not isinstance(array, np.ndarray) or array.dtype != np.float32:
        raise VerificationError("the update is not a float32 array")
    if array.shape != (size,):
        raise VerificationError(f"the update has shape {array.shape}, expected ({size},)")
    if not np.isfinite(array).all():
        raise VerificationError("the update holds numbers that are not finite")
    return array


def check_distance(vector: Vector, start: Vector, max_rms_change: float) -> float:
    """Root mean square change per number, if it is at most `max_rms_change`. Raises: VerificationError.

    Per number rather than in total, so that one limit suits adapters of every size.
    """
    change = float(np.sqrt(np.mean(np.square(vector.astype(np.float64) - start))))
    if change > max_rms_change:
        raise VerificationError(f"the update moved by {change:.3g} per number, at most {max_rms_change:.3g} is allowed")
    return change


def bounded_weight(tokens: int, cap: int) -> int:
    """`min(tokens, cap)`. Raises: VerificationError for no tokens; UsageError for a cap below one."""
    if cap < 1:
        raise UsageError("the weight cap is below 1")
    if tokens < 1:
        raise VerificationError("the update states no tokens")
    return min(tokens, cap)


def average(updates: Sequence[Update], cap: int) -> Vector:
    """The weighted average of the updates' vectors. Raises: UsageError when there is none."""
    if not updates:
        raise UsageError("there is no update to average")
    weights = [bounded_weight(update.tokens, cap) for update in updates]
    total = np.zeros(updates[0].vector.shape, dtype=np.float64)
    for update, weight in zip(updates, weights, strict=True):
        total += weight * update.vector.astype(np.float64)
    result: Vector = (total / sum(weights)).astype(np.float32)
    return result


def vector_digest(vector: Vector) -> str:
    """SHA-256 in hex over the little-endian bytes."""
    return hashlib.sha256(vector.astype("<f4", copy=False).tobytes()).hexdigest()
