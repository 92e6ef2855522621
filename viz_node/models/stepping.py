"""One step of training: the optimizer and its state, the parts of a step, and dropout that can be drawn again.

Nothing here is random but dropout, whose draws follow from the recipe's seed and the step's number.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import bitsandbytes
import torch
from torch import Tensor, nn
from transformers.modeling_layers import GradientCheckpointingLayer

from viz_node.domain.recipe import Recipe
from viz_node.errors import UsageError
from viz_node.models.evaluating import PART_TOKENS, parts_of
from viz_node.models.fused import TokenizedDocument, loss_sum

_IN_EIGHT_BITS = {"adamw8bit": bitsandbytes.optim.AdamW8bit, "paged_adamw8bit": bitsandbytes.optim.PagedAdamW8bit}


def new_optimizer(parameters: Iterable[nn.Parameter], rate: float, name: str = "adamw") -> torch.optim.Optimizer:
    """AdamW without decay: fused, or in 8 bits (Dettmers et al. 2022), with states that a GPU may page out.

    On CPUs the fused one is the fastest, and LoRA's states are small. Raises: UsageError (a GPU's, and there is none).
    """
    chosen = list(parameters)
    if name not in _IN_EIGHT_BITS:
        return torch.optim.AdamW(chosen, lr=rate, weight_decay=0.0, fused=True)
    if name.startswith("paged") and any(parameter.device.type != "cuda" for parameter in chosen):
        raise UsageError(f"{name} needs a GPU of CUDA, and this trains on the CPU", 'set optimizer = "adamw8bit"')
    optimizer: torch.optim.Optimizer = _IN_EIGHT_BITS[name](chosen, lr=rate, weight_decay=0.0)
    return optimizer


def set_rate(optimizer: torch.optim.Optimizer, rate: float) -> None:
    """Use this learning rate from now on."""
    for group in optimizer.param_groups:
        group["lr"] = rate


def optimizer_tensors(optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter]) -> dict[str, Tensor]:
    """The optimizer's state, by parameter and key, as copies on the CPU; a whole number becomes a tensor of one."""
    found = {}
    for name, parameter in parameters.items():
        for key, value in optimizer.state[parameter].items():
            kind, held = ("tensor", value) if isinstance(value, Tensor) else ("number", torch.tensor(value))
            # Copies, since parameters share some of these and a file holds each only once.
            found[f"{kind}/{key}/{name}"] = held.detach().cpu().clone()
    return found


def restore_optimizer(
    optimizer: torch.optim.Optimizer, parameters: Mapping[str, nn.Parameter], tensors: Mapping[str, Tensor]
) -> None:
    """Put the state back that `optimizer_tensors` gave. Raises: KeyError (there is none for a parameter)."""
    states: dict[str, dict[str, Tensor | int]] = {name: {} for name in parameters}
    for place, value in tensors.items():
        kind, _, rest = place.partition("/")
        key, _, name = rest.partition("/")
        if kind == "number":
            states[name][key] = int(value)
        elif kind == "tensor":
            states[name][key] = value.to(parameters[name].device)
    for name, parameter in parameters.items():
        if not states[name]:
            raise KeyError(name)
        optimizer.state[parameter] = states[name]


def take_step(
    peft_model: nn.Module,
    optimizer: torch.optim.Optimizer,
    batch: Sequence[TokenizedDocument],
    tokens_at_once: int = PART_TOKENS,
) -> float:
    """One optimizer step on the mean loss over all counted tokens of the batch, which it returns."""
    counted = max(1, sum(sum(document.counted) for document in batch))
    loss = 0.0
    for part in parts_of(batch, tokens_at_once):
        total, _ = loss_sum(peft_model, part)
        mean = total / counted
        mean.backward()
        loss += float(mean.detach())
    torch.nn.utils.clip_grad_norm_([p for group in optimizer.param_groups for p in group["params"]], 1.0)
    optimizer.step()
    optimizer.zero_grad()
    return loss


@contextmanager
def dropping(peft_model: nn.Module, recipe: Recipe, step: int) -> Iterator[None]:
    """While this lasts, the adapter's own dropout draws as it does at this step of this recipe; nothing else does."""
    if not recipe.dropout:
        yield
        return
    torch.manual_seed(int.from_bytes(hashlib.sha256(f"{recipe.seed}:{step}".encode()).digest()[:7], "big"))
    adapted = [part for part in peft_model.modules() if hasattr(part, "lora_dropout")]
    _set_training(adapted, True)
    try:
        yield
    finally:
        _set_training(adapted, False)


def _set_training(adapted: Iterable[nn.Module], is_training: bool) -> None:
    """Of the adapted layers and their dropout alone: DoRA asks the layer itself whether there is dropout."""
    for part in adapted:
        part.training = is_training
        part.lora_dropout.train(is_training)


def set_checkpointing(peft_model: nn.Module) -> bool:
    """Compute each block again on the way back instead of keeping what it computed; False if the model has no such way.

    transformers does so only where a block is in training mode, so just the blocks are put into it, without their
    parts: no dropout of the base model wakes up.
    """
    blocks = [part for part in peft_model.modules() if isinstance(part, GradientCheckpointingLayer)]
    if not blocks:
        return False
    peft_model.base_model.model.gradient_checkpointing_enable({"use_reentrant": False})
    for block in blocks:
        block.training = True
    return True
