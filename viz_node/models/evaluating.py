"""The loss of a model on documents, in parts that bound memory."""

from collections.abc import Callable, Sequence

import torch
from torch.nn import Module

from viz_node.domain.recipe import Recipe
from viz_node.domain.worker import Progress
from viz_node.models.fused import TokenizedDocument, loss_sum

PART_TOKENS = Recipe().tokens_at_once

Emit = Callable[[Progress], None]


def parts_of(batch: Sequence[TokenizedDocument], tokens_at_once: int = PART_TOKENS) -> list[list[TokenizedDocument]]:
    """Parts of at most so many tokens (or one document), in order, to bound memory."""
    parts: list[list[TokenizedDocument]] = [[]]
    size = 0
    for document in batch:
        if parts[-1] and size + len(document.ids) > tokens_at_once:
            parts.append([])
            size = 0
        parts[-1].append(document)
        size += len(document.ids)
    return [part for part in parts if any(any(document.counted) for document in part)]


def evaluate(
    peft_model: Module,
    documents: Sequence[TokenizedDocument],
    emit: Emit | None = None,
    tokens_at_once: int = PART_TOKENS,
) -> tuple[float, int]:
    """Mean loss per counted token and the number of tokens; (0, 0) without documents."""
    total, count = 0.0, 0
    parts = parts_of(documents, tokens_at_once)
    with torch.no_grad():
        for index, part in enumerate(parts):
            part_sum, part_count = loss_sum(peft_model, part)
            total, count = total + float(part_sum), count + part_count
            if emit is not None:
                emit(progress("evaluate", index + 1, len(parts), total / max(1, count), 0.0, 0.0))
    return total / max(1, count), count


def progress(phase: str, step: int, steps: int, loss: float, speed: float, eta: float) -> Progress:
    """One line of progress; `speed` in tokens per second, `eta` in seconds."""
    return Progress(phase, step, steps, round(loss, 4), round(speed, 1), round(eta, 1))
