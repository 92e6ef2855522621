"""When a training looks at its held-out texts, which point was the best, and when it has learnt all it will."""

import math
from collections.abc import Sequence

from viz_node.domain.report import CurvePoint

# Of the tokens trained on between two looks. A look costs a third of a step per token, so that all together cost at
# most a sixth of the training.
_MOST_LOOKED_AT = 0.5


def evaluation_interval(steps: int, step_tokens: float, held_out_tokens: int, evaluations: int) -> int:
    """Steps from one look to the next: at most `evaluations` looks in a run, fewer where much is held out."""
    least = held_out_tokens / (_MOST_LOOKED_AT * max(1.0, step_tokens))
    return max(1, min(steps, math.ceil(max(steps / evaluations, least))))


def best_point(curve: Sequence[CurvePoint]) -> CurvePoint | None:
    """The point after a first step with the lowest held-out loss, the earlier of two equal ones."""
    seen = [point for point in curve if point.step and point.held_out is not None]
    return min(seen, key=lambda point: (point.held_out, point.step), default=None)


def has_stalled(curve: Sequence[CurvePoint], patience: int) -> bool:
    """Whether the last `patience` looks, if it is not 0, were no better than one before them."""
    best = best_point(curve)
    if best is None or not patience:
        return False
    return sum(point.step > best.step for point in curve if point.held_out is not None) >= patience
