"""Whether a rewritten adapter computes what the stranger's computes in PEFT, shown on one base model by its logits.

PEFT gets the stranger's own configuration and matrices, as if it had loaded the folder, so that a mistake in reading
either shows: ranks, scales, patterns and names of layers are PEFT's to interpret here.
"""

import json
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from peft import LoraConfig, PeftModel, get_peft_model, set_peft_model_state_dict
from torch.nn import Module

from viz_node.errors import VerificationError
from viz_node.models.adapter_files import Shape, tensor_name
from viz_node.models.bases import ResolvedBase
from viz_node.models.importing.matching import bounded
from viz_node.models.importing.reading import ForeignAdapter
from viz_node.models.importing.weights import read_matrix
from viz_node.models.literal import encode_text
from viz_node.models.loading import load_adapter

_PROMPTS = (
    "The old sailor counted every lamp before the storm, and",
    "Question: What is a promise?\nAnswer:",
    "1, 2, 3, 4,",
)
# PEFT reads its own copy of an expression once per module.
_PEFT_SECONDS = 20.0
# Of the largest logit. The same products in another order differ by rounding, in 32 bits by about 1e-6 of it.
_MOST_DIFFERENCE = 1e-4
_MEANT_FOR_PEFT = (
    *("r", "lora_alpha", "use_rslora", "rank_pattern", "alpha_pattern", "target_modules", "exclude_modules"),
    *("layers_to_transform", "layers_pattern"),
)


@dataclass(frozen=True)
class Comparison:
    """Largest differences of logits: between PEFT and our form, and between the base model with and without it."""

    difference: float
    change: float


def check_fit(found: ForeignAdapter, layers: Mapping[str, Shape], base_name: str) -> None:
    """Compare paths and shapes with the base model's layers. Raises: VerificationError (it is for another one)."""
    hint = "name the base model that it was trained on: --base NAME (see `viz-node base list`)"
    for path, pair in found.pairs.items():
        if path not in layers:
            raise VerificationError(f"{base_name} has no layer {path} that an adapter can change", hint)
        shape = pair.b.shape[0], pair.a.shape[1]
        if shape != layers[path]:
            raise VerificationError(
                f"{path} is {layers[path][0]} x {layers[path][1]} in {base_name}, and {shape[0]} x {shape[1]} here",
                hint,
            )


def compare(
    model: Module, tokenizer: object, base: ResolvedBase, found: ForeignAdapter, rewritten: Path
) -> tuple[Comparison, PeftModel]:
    """Run the fixed prompts three times; the second result is the model with the rewritten adapter.

    The base model computes in 32 bits. Raises: VerificationError (the two differ, no finite numbers, or
    the adapter changes nothing).
    """
    prompts = [encode_text(tokenizer, prompt) or [0] for prompt in _PROMPTS]
    alone = _logits(model, prompts)
    peft_model = _as_peft_loads(model, found)
    theirs = _logits(peft_model, prompts)
    peft_model = load_adapter(peft_model.unload(), base, rewritten)
    ours = _logits(peft_model, prompts)
    if not bool(torch.isfinite(theirs).all()):
        raise VerificationError("with the adapter, the base model computes no finite numbers", "train it again")
    compared = Comparison(float((ours - theirs).abs().max()), float((theirs - alone).abs().max()))
    most = _MOST_DIFFERENCE * float(theirs.abs().max())
    if not compared.difference <= most:
        raise VerificationError(
            f"rewritten, it computes something else than in PEFT (logits differ by {compared.difference:.2g})",
            "report this with the folder's adapter_config.json",
        )
    if compared.change <= compared.difference:
        raise VerificationError("with the adapter, the base model computes as without", "is it the right base model?")
    return compared, peft_model


def _as_peft_loads(model: Module, found: ForeignAdapter) -> PeftModel:
    """PEFT's model of the stranger's configuration and matrices. Raises: VerificationError (PEFT passes over some)."""
    body = json.loads(found.raw_config)
    meant = {name: body[name] for name in _MEANT_FOR_PEFT if body.get(name) is not None}
    weights = {
        tensor_name(path, side): torch.from_numpy(read_matrix(found.weights, matrix).copy())
        for path, pair in found.pairs.items()
        for side, matrix in (("A", pair.a), ("B", pair.b))
    }
    with warnings.catch_warnings(), bounded(_PEFT_SECONDS):
        warnings.simplefilter("ignore")
        # A fresh B is zero, so that layers without weights change nothing, as in PEFT itself.
        peft_model = get_peft_model(model, LoraConfig(task_type="CAUSAL_LM", init_lora_weights=True, **meant)).eval()
        outcome = set_peft_model_state_dict(peft_model, weights)
    if outcome.unexpected_keys:
        raise VerificationError(f"PEFT passes over {outcome.unexpected_keys[0]}", "save it again with PEFT")
    return peft_model


def _logits(model: Module, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
    """Of all tokens of all prompts: tokens x vocabulary, in 32 bits."""
    with torch.no_grad():
        rows = [model(input_ids=torch.tensor([list(ids)], device=model.device)).logits[0] for ids in prompts]
    return torch.cat(rows).float().cpu()
