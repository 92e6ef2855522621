"""Training recipes and the turning of texts into tokenized documents; knows no torch."""

import hashlib
import math
import random
from collections.abc import Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from viz_node.errors import UsageError

GOLDFISH_CONTEXT = 13


@dataclass(frozen=True)
class Recipe:
    """How to train: `batch_documents` per step, documents cut at `max_tokens`, `goldfish` k drops 1 token in k.

    Raises: UsageError (out of range).
    """

    rank: int = 8
    alpha: int = 16
    learning_rate: float = 2e-3
    epochs: int = 3
    batch_documents: int = 4
    max_tokens: int = 256
    seed: int = 0
    goldfish: int = 0

    def __post_init__(self) -> None:
        ranges = {
            "rank": (1, 256),
            "alpha": (1, 1024),
            "epochs": (1, 1000),
            "batch_documents": (1, 1024),
            "max_tokens": (8, 32768),
            "seed": (0, 2**53),
            "goldfish": (0, 1000),
        }
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise UsageError(f"recipe: {name} must be an integer from {low} to {high}")
        rate = self.learning_rate
        if type(rate) not in (int, float) or not 0 < rate <= 1:
            raise UsageError("recipe: learning_rate must be a number above 0 and at most 1")
        if self.goldfish == 1:
            raise UsageError("recipe: goldfish 1 would drop every token", "use 0 (off), or 2 and more")

    def digest(self) -> str:
        """SHA-256 over all values; a checkpoint of another recipe is not resumed."""
        return hashlib.sha256(repr(sorted(asdict(self).items())).encode()).hexdigest()


def parse_recipe(body: dict[str, Any] | None, goldfish: int = 0) -> Recipe:
    """A recipe from an order's JSON; missing values take the defaults. Raises: UsageError."""
    body = dict(body or {})
    unknown = set(body) - {field.name for field in fields(Recipe)}
    if unknown:
        raise UsageError(f"recipe: unknown {', '.join(sorted(unknown))}")
    if goldfish:
        body.setdefault("goldfish", goldfish)
    return Recipe(**body)


def cut_documents(token_lists: Sequence[Sequence[int]], max_tokens: int) -> list[tuple[int, ...]]:
    """Pieces of at most `max_tokens` and nearly equal length; each but the first repeats one token of context."""
    pieces = []
    for ids in token_lists:
        count = max(1, math.ceil((len(ids) - 1) / (max_tokens - 1)))
        size = math.ceil((len(ids) - 1) / count)
        pieces += [tuple(ids[start : start + size + 1]) for start in range(0, len(ids) - 1, size or 1)]
    return [piece for piece in pieces if len(piece) > 1]


def count_tokens(ids: Sequence[int], goldfish: int) -> tuple[bool, ...]:
    """Which tokens count in the loss: all but the first, less one in `goldfish` chosen by a hash of those before it.

    The same passage always drops the same tokens, so that repetition does not teach them (Hans et al. 2024, section 3).
    """
    if not goldfish:
        return (False,) + (True,) * (len(ids) - 1)
    counted = [False]
    for i in range(1, len(ids)):
        context = ",".join(map(str, ids[max(0, i - GOLDFISH_CONTEXT) : i])).encode()
        number = int.from_bytes(hashlib.blake2b(context, digest_size=8).digest(), "big")
        counted.append(i < GOLDFISH_CONTEXT or number % goldfish != 0)
    return tuple(counted)


def batch_order(documents: int, batch: int, epoch: int, seed: int) -> list[list[int]]:
    """Indices of the documents of each step of an epoch, shuffled by seed and epoch only."""
    order = list(range(documents))
    random.Random(f"{seed}:{epoch}").shuffle(order)
    return [order[start : start + batch] for start in range(0, documents, batch)]


def scheduled_rate(step: int, steps: int, peak: float) -> float:
    """Linear warm-up over the first twentieth, then a cosine down to a tenth of the peak."""
    warmup = max(1, steps // 20)
    if step < warmup:
        return peak * (step + 1) / warmup
    return peak * (0.1 + 0.45 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))))
