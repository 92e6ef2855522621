"""The loss of a model on documents, in parts that bound memory."""

from collections.abc import Callable, Sequence

import torch
from torch.nn import Module

from viz_node.domain.worker import Progress
from viz_node.models.fused import TokenizedDocument, loss_sum

MICRO_BATCH_TOKENS = 4096

Emit = Callable[[Progress], None]


def micro_batches(batch: Sequence[TokenizedDocument]) -> list[list[TokenizedDocument]]:
    """Parts of at most MICRO_BATCH_TOKENS (or one document), in order, to bound memory."""
    parts: list[list[TokenizedDocument]] = [[]]
    size = 0
    for document in batch:
        if parts[-1] and size + len(document.ids) > MICRO_BATCH_TOKENS:
            parts.append([])
            size = 0
        parts[-1].append(document)
        size += len(document.ids)
    return [part for part in parts if any(any(document.counted) for document in part)]


def evaluate(peft_model: Module, documents: Sequence[TokenizedDocument], emit: Emit | None = None) -> tuple[float, int]:
    """Mean loss per counted token and the number of tokens; (0, 0) without documents."""
    total, count = 0.0, 0
    parts = micro_batches(documents)
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
