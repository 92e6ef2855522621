"""Which layers of a model an adapter changes, how its files name them, and which share of the weights that is.

The layers are read off the model itself: every linear layer of the decoder's blocks that takes part when the model
reads text. The output head, embeddings, and towers for pictures or sound stay as they are. A layer counts by what it
is, not by what it is called, so that blocks may differ, as those of hybrids and mixtures do.
"""

import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass

import torch
from bitsandbytes.nn import Linear4bit
from peft import LoraConfig
from peft.tuners.tuners_utils import _check_lora_target_modules_mamba
from peft.utils.transformers_weight_conversion import convert_peft_config_for_transformers
from transformers.pytorch_utils import Conv1D

from viz_node.domain.training import Facts
from viz_node.errors import UsageError, VerificationError
from viz_node.models.adapter_files import Shape, is_adaptable, picks

_LINEAR = (torch.nn.Linear, Linear4bit, Conv1D)
_NO_LINEAR, _UNUSED, _NAMELESS = "not a linear layer", "not used for text", "PEFT adapts no layer of this name here"
_NOT_CHOSEN = "not among the recipe's targets"
_MOST_NOTES = 300


@dataclass(frozen=True)
class Targets:
    """The layers to adapt: their (outputs, inputs) by path, and the shortest names that pick exactly them.

    `left_out` has, by kind of layer, why it stays as it is and its number of weights; vectors such as norms and biases
    count nowhere.
    """

    shapes: Mapping[str, Shape]
    names: tuple[str, ...]
    kinds: tuple[str, ...]
    left_out: Mapping[str, tuple[str, int]]

    def facts(self) -> Facts:
        """The coverage, for a manifest: kinds of layers, percent of the blocks' weights, and what is left out."""
        adapted = sum(outputs * inputs for outputs, inputs in self.shapes.values())
        total = adapted + sum(weights for _, weights in self.left_out.values())
        facts: Facts = {"adapted": ", ".join(self.kinds), "adapted_percent": _percent(adapted, total)}
        largest = sorted(self.left_out.items(), key=lambda item: (-item[1][1], item[0]))
        notes = "; ".join(f"{kind} {_percent(weights, total)} % ({why})" for kind, (why, weights) in largest)
        if notes:
            facts["not_adapted"] = notes if len(notes) <= _MOST_NOTES else notes[: _MOST_NOTES - 1] + "…"
        return facts


def adaptable_layers(model: torch.nn.Module) -> dict[str, Shape]:
    """Module path -> (outputs, inputs) of the linear layers in the decoder's blocks."""
    prefixes = _block_prefixes(model)
    return {
        name: _shape(part)
        for name, part in model.named_modules()
        if name.startswith(prefixes) and is_linear(part) and is_adaptable(name)
    }


def choose_targets(
    model: torch.nn.Module, model_name: str, used: Collection[str] | None = None, chosen: Collection[str] = ()
) -> Targets:
    """The layers that an adapter of this model changes; `used` are the paths that took part in a trial, where one was.

    `chosen` are ends of names, none for every layer. Raises: VerificationError (there are none), UsageError (an end of
    none of them).
    """
    layers = adaptable_layers(model)
    taking_part = {_kind_in_block(name) for name in (layers if used is None else used)}
    unused = {name for name in layers if _kind_in_block(name) not in taking_part}
    nameless = _names_peft_refuses(model, {name.rsplit(".", 1)[-1] for name in layers})
    shapes = {
        name: shape for name, shape in layers.items() if name not in unused and name.rsplit(".", 1)[-1] not in nameless
    }
    if not shapes:
        raise VerificationError(f"{model_name} has no layers that an adapter can change", "use another base model")
    if chosen:
        shapes = _among(shapes, chosen, model_name)
    left_out: dict[str, tuple[str, int]] = {}
    for name, weights in _block_weights(model).items():
        if name not in shapes:
            is_nameless = name.rsplit(".", 1)[-1] in nameless
            is_left = _UNUSED if name in unused else _NAMELESS if is_nameless else _NOT_CHOSEN
            why = is_left if name in layers else _NO_LINEAR
            before = left_out.get(_kind(name), (why, 0))[1]
            left_out[_kind(name)] = (why, before + weights)
    return Targets(
        shapes, shortest_names(shapes, module_names(model)), tuple(sorted({_kind(name) for name in shapes})), left_out
    )


def _among(shapes: Mapping[str, Shape], chosen: Collection[str], model_name: str) -> dict[str, Shape]:
    kinds = {_kind(path) for path in shapes}
    absent = sorted(name for name in chosen if not any(picks({name}, kind) for kind in kinds))
    if absent:
        raise UsageError(
            f"recipe: targets names {', '.join(absent)[:200]}, and {model_name} has no such layers",
            f"it has {', '.join(sorted(kinds))[:300]}",
        )
    return {path: shape for path, shape in shapes.items() if picks(chosen, _kind(path))}


def module_names(model: torch.nn.Module) -> list[str]:
    """The paths of all modules."""
    return [name for name, _ in model.named_modules()]


def shortest_names(chosen: Iterable[str], every_name: Iterable[str]) -> tuple[str, ...]:
    """The shortest ends of paths that pick all chosen modules and no other one, sorted."""
    wanted = set(chosen)
    ends: Counter[str] = Counter()
    wanted_ends: Counter[str] = Counter()
    for name in every_name:
        for end in _ends(name):
            ends[end] += 1
            wanted_ends[end] += name in wanted
    return tuple(sorted({next(end for end in _ends(name) if wanted_ends[end] == ends[end]) for name in wanted}))


def _ends(name: str) -> list[str]:
    """`c`, `b.c` and `a.b.c` of `a.b.c`; a number never stands first, since it says nothing alone."""
    parts = name.split(".")
    return [".".join(parts[i:]) for i in range(len(parts) - 1, -1, -1) if not parts[i].isdigit()]


def _block_prefixes(model: torch.nn.Module) -> tuple[str, ...]:
    """The paths of the outermost lists of blocks in the part that reads text."""
    decoder = model.get_decoder()
    root = next(name for name, part in model.named_modules() if part is decoder)
    # Some models call their output head so.
    lists = _lists_of_blocks(decoder, root) or _lists_of_blocks(model, "")
    return tuple(f"{name}." for name in lists if not any(name.startswith(f"{other}.") for other in lists))


def _lists_of_blocks(part: torch.nn.Module, root: str) -> list[str]:
    return [
        name
        for name, module in part.named_modules(prefix=root)
        if isinstance(module, torch.nn.ModuleList) and len(module) and not is_linear(module[0])
    ]


def is_linear(part: torch.nn.Module) -> bool:
    """Whether the layer computes W x + b, or W x."""
    # Subclasses that compute the same are called so; a router is a subclass too, and returns something else.
    return type(part) in _LINEAR or (isinstance(part, torch.nn.Linear) and type(part).__name__.endswith("Linear"))


def _shape(part: torch.nn.Module) -> Shape:
    return (part.nf, part.nx) if isinstance(part, Conv1D) else (part.out_features, part.in_features)


def _block_weights(model: torch.nn.Module) -> dict[str, int]:
    """Number of weights of every matrix in the blocks, by the path of its linear layer or its own."""
    prefixes = _block_prefixes(model)
    shapes = {name: _shape(part) for name, part in model.named_modules() if is_linear(part)}
    weights = {name: a * b for name, (a, b) in shapes.items() if name.startswith(prefixes)}
    for name, parameter in model.named_parameters():
        path = name.removesuffix(".weight")
        if name.startswith(prefixes) and name.rpartition(".")[0] not in shapes and parameter.ndim > 1:
            weights[path] = parameter.numel()
    return weights


def _names_peft_refuses(model: torch.nn.Module, leaves: Collection[str]) -> set[str]:
    """The names that PEFT reads as those of an older model's experts, or bars since the model goes around the layer."""
    changed = set()
    for leaf in leaves:
        config = LoraConfig(target_modules=[leaf])
        try:
            _check_lora_target_modules_mamba(config, model, leaf)
            convert_peft_config_for_transformers(config, model, None)
        except ValueError:
            changed.add(leaf)
        else:
            changed |= {leaf} - set(config.target_modules)
    return changed


def _kind(name: str) -> str:
    """What a layer is called within its block: `mlp.up_proj` of `model.layers.3.mlp.up_proj`."""
    return re.sub(r"\.[0-9]+(?=\.)", "", re.sub(r"^.*?\.[0-9]+\.", "", name))


def _kind_in_block(name: str) -> str:
    """The path with every number but the block's left out: which of its experts a text reaches differs by text."""
    block = re.match(r".*?\.[0-9]+\.", name)
    return (block.group() if block else "") + _kind(name)


def _percent(part: int, total: int) -> str:
    return f"{100 * part / total:.1f}"
