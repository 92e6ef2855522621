"""The turning of texts into tokenized documents, and their order; knows no torch."""

import hashlib
import math
import random
from collections.abc import Sequence

GOLDFISH_CONTEXT = 13


def cut_document(
    ids: Sequence[int], ends: Sequence[int], max_tokens: int, begin: int | None = None
) -> list[tuple[int, ...]]:
    """Pieces of at most `max_tokens`, cut near equal lengths where the text ends best; each token is predicted once.

    `ends` says for each token how much of an end comes after it: 0 for none, higher for a better one. Each piece but
    the first begins with the token `begin` or, where the base model has none, repeats one token of context.
    """
    pieces, start, room = [], 1, max_tokens - 1
    first = ids[:1]
    while (left := len(ids) - start) > 0:
        size = left if left <= room else _best_cut(ends[start : start + room], math.ceil(left / math.ceil(left / room)))
        pieces.append((*first, *ids[start : start + size]))
        start += size
        first = [ids[start - 1]] if begin is None else [begin]
    return pieces


def _best_cut(ends: Sequence[int], wanted: int) -> int:
    """The length of a piece: where it ends best within a quarter of the wanted one, the nearest of several."""
    sizes = range(max(1, wanted - wanted // 4), min(len(ends), wanted + wanted // 4) + 1)
    return max(sizes, key=lambda size: (ends[size - 1], -abs(size - wanted)))


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


def scheduled_rate(step: int, steps: int, peak: float, warmup_percent: int = 5, schedule: str = "cosine") -> float:
    """Linear warm-up over the first part, then down to a tenth of the peak by a cosine or a line, or constant."""
    warmup = max(1, steps * warmup_percent // 100)
    if step < warmup:
        return peak * (step + 1) / warmup
    share = (step - warmup) / max(1, steps - warmup)
    if schedule == "constant":
        return peak
    if schedule == "linear":
        return peak * (1 - 0.9 * share)
    # In this order of operations, which base models that were built before have in their digest.
    return peak * (0.1 + 0.45 * (1 + math.cos(math.pi * (step - warmup) / max(1, steps - warmup))))
