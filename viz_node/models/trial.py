"""A model is tried on a few tokens before the first step, so that what cannot be trained right is refused at once.

Names and shapes do not tell whether a layer takes part, whether a token sees those after it, or whether a gradient
arrives; a forward pass and a backward pass do.
"""

from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch.nn import functional

from viz_node.errors import VerificationError
from viz_node.models.stepping import set_checkpointing
from viz_node.models.targets import adaptable_layers

TRIAL_TOKENS = 16
_HINT = "use another base model, such as a Llama-like one"
# Of the change at the token itself. The same products in the same order give no difference in most models; where the
# order of sums depends on other tokens, as in mixtures of experts, it is one of rounding.
_MOST_LEAK = {torch.float32: 1e-3, torch.bfloat16: 5e-2}


def layers_used(model: torch.nn.Module, model_name: str, ids: Sequence[int]) -> set[str]:
    """The paths of the linear layers in the blocks through which a text goes.

    Raises: VerificationError (the model does not run in 4 bits; a token sees those after it).
    """
    used: set[str] = set()
    parts = dict(model.named_modules())
    hooks = [
        parts[name].register_forward_hook(lambda _part, _input, _output, name=name: used.add(name))
        for name in adaptable_layers(model)
    ]
    try:
        with torch.no_grad():
            logits = _logits(model, ids)
            others = _logits(model, [*ids[:-1], (ids[-1] + 1) % logits.shape[-1]])
    except Exception as error:
        # Whatever a model's own code raises means that nobody can train it here.
        cause = " ".join(str(error).split())[:150]
        raise VerificationError(f"{model_name} does not run in 4 bits on this machine: {cause}", _HINT) from error
    finally:
        for hook in hooks:
            hook.remove()
    if not bool(torch.isfinite(logits).all()):
        raise VerificationError(f"{model_name} computes no finite numbers in 4 bits", _HINT)
    change = (logits - others).abs().amax(-1)
    most = _MOST_LEAK.get(getattr(model, "dtype", torch.float32), 5e-2)
    if float(change[:-1].max()) > most * float(change[-1]):
        raise VerificationError(f"{model_name} lets a token see those after it, so it does not write text", _HINT)
    return used


Gradients: TypeAlias = dict[str, torch.Tensor]
"""Of each parameter that is trained and that a text reaches."""


def check_gradients(peft_model: torch.nn.Module, model_name: str, ids: Sequence[int]) -> Gradients:
    """The gradients of a short text.

    Raises: VerificationError (an adapter's matrix gets no gradient, or one that is not finite).
    """
    try:
        logits = _logits(peft_model, ids)
        functional.cross_entropy(logits[:-1], torch.tensor(ids[1:], device=logits.device)).backward()
    except Exception as error:
        cause = " ".join(str(error).split())[:150]
        raise VerificationError(f"{model_name} cannot be trained in 4 bits: {cause}", _HINT) from error
    try:
        for name, parameter in peft_model.named_parameters():
            is_expert = sum(part.isdigit() for part in name.split(".")) > 1
            if parameter.requires_grad and "lora_B" in name and not is_expert:
                if parameter.grad is None:
                    raise VerificationError(f"{model_name}: no gradient reaches {_layer(name)}", _HINT)
                if not bool(torch.isfinite(parameter.grad).all()):
                    raise VerificationError(f"{model_name}: the gradient of {_layer(name)} is not finite", _HINT)
        return {name: part.grad.clone() for name, part in peft_model.named_parameters() if part.grad is not None}
    finally:
        peft_model.zero_grad(set_to_none=True)


def check_checkpointing(peft_model: torch.nn.Module, model_name: str, ids: Sequence[int], usual: Gradients) -> None:
    """Switch gradient checkpointing on. Raises: VerificationError (there is none, or other gradients come of it)."""
    hint = "set checkpointing = false in the recipe"
    if not set_checkpointing(peft_model):
        raise VerificationError(f"{model_name} has no gradient checkpointing", hint)
    try:
        found = check_gradients(peft_model, model_name, ids)
    except VerificationError as error:
        raise VerificationError(f"{model_name} does not compute its blocks again as they were", hint) from error
    if found.keys() != usual.keys() or not all(torch.equal(found[name], usual[name]) for name in usual):
        raise VerificationError(f"{model_name} computes other gradients with gradient checkpointing", hint)


def _logits(model: torch.nn.Module, ids: Sequence[int]) -> torch.Tensor:
    """Of each token, in 32 bits: tokens x vocabulary."""
    output: torch.Tensor = model(input_ids=torch.tensor([list(ids)], device=model.device)).logits[0].float()
    return output


def _layer(parameter_name: str) -> str:
    return parameter_name.removeprefix("base_model.model.").partition(".lora_")[0]
