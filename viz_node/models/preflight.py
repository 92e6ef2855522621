"""Whether a base model can be trained here, judged by its configuration alone, before gigabytes are fetched."""

import json
import os
import re
from collections import Counter
from pathlib import Path
from typing import Any

from viz_node.errors import VerificationError
from viz_node.models.adapter_files import MODULE_NAMES, is_adaptable

# Loops run over these before anything is allocated.
_MOST_LAYERS_OR_EXPERTS = 1024
# NF4 with double quantization takes 4.127 bits per weight (Dettmers et al. 2023).
_BYTES_PER_QUANTIZED_WEIGHT = 0.52


def check_config(directory: Path, model: str) -> None:
    """Refuse what transformers cannot load without foreign code. Raises: VerificationError."""
    config = _config(directory, model)
    kind = config.get("model_type")
    if "quantization_config" in config or "compression_config" in config:
        method = _method_of(config)
        raise VerificationError(f"{model} is stored quantized ({method})", "use the original that it was made from")
    from transformers import CONFIG_MAPPING, __version__
    from transformers.models.auto.modeling_auto import MODEL_FOR_CAUSAL_LM_MAPPING_NAMES as WRITERS

    if not isinstance(kind, str) or kind not in CONFIG_MAPPING:
        reason = "needs code of its own" if "auto_map" in config else f"is unknown to transformers {__version__}"
        raise VerificationError(f"{model} {reason} (model_type {str(kind)[:40]!r})", "use a Llama-like model")
    writer = WRITERS.get(kind)
    named = config.get("architectures") or [writer]
    if writer is None or not isinstance(named, list) or writer not in named:
        what = ", ".join(map(str, named))[:80] if isinstance(named, list) else "none"
        raise VerificationError(
            f"{model} is no model that writes text (architectures {what})", "use a Llama-like model"
        )


def check_tokenizer(directory: Path, model: str) -> None:
    """Raises: VerificationError (it does not load from the files that came)."""
    from viz_node.models.loading import load_tokenizer

    try:
        load_tokenizer(directory)
    except Exception as error:
        # A stranger's files make the library raise nearly anything.
        cause = " ".join(str(error).split())[:150]
        raise VerificationError(f"{model} has a tokenizer that does not load: {cause}", "use another model") from error


def plan_modules(directory: Path, model: str) -> dict[str, tuple[int, int]]:
    """Module path -> (outputs, inputs) of the layers that an adapter will change, from a model without weights.

    Raises: VerificationError (it has none, or others that an adapter's file cannot name; too large for this machine).
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    try:
        config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            empty = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except Exception as error:
        # What a stranger's numbers make of a model raises nearly anything.
        cause = " ".join(str(error).split())[:150]
        raise VerificationError(
            f"{model} cannot be built from its configuration: {cause}", "use another one"
        ) from error
    parts = ((name, part) for name, part in empty.named_modules() if isinstance(part, torch.nn.Linear))
    linear = {name: (part.out_features, part.in_features) for name, part in parts if name != "lm_head"}
    chosen = {name: shape for name, shape in linear.items() if name.rsplit(".", 1)[-1] in MODULE_NAMES}
    _check_names(chosen, model)
    _check_memory(sum(part.numel() for part in empty.parameters()), sum(a * b for a, b in linear.values()), model)
    return chosen


def check_shapes(planned: dict[str, tuple[int, int]], found: dict[str, tuple[int, int]], model: str) -> None:
    """Raises: VerificationError (the weights that came are not those of the planned layers)."""
    kinds = {name.rsplit(".", 1)[-1] for name in planned}
    # Experts that are one module here are many matrices of other kinds in the file.
    weights = {name: shape for name, shape in found.items() if name.rsplit(".", 1)[-1] in kinds}
    if planned != weights:
        names = sorted(name for name in {*planned, *weights} if planned.get(name) != weights.get(name))
        raise VerificationError(
            f"{model} has other weights than its configuration says: {names[0]}", "use another model"
        )


def _config(directory: Path, model: str) -> dict[str, Any]:
    try:
        config = json.loads((directory / "config.json").read_bytes())
        items = [item for part in (config, *_parts(config)) for item in part.items()]
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise VerificationError(f"{model} has a malformed config.json", "use another model") from error
    for key, value in items:
        if ("layer" in key or "expert" in key) and type(value) is int and value > _MOST_LAYERS_OR_EXPERTS:
            raise VerificationError(f"{model} has a config.json with an absurd {key}", "use another model")
    return dict(config)


def _parts(config: dict[str, Any]) -> list[dict[str, Any]]:
    return [value for value in config.values() if isinstance(value, dict)]


def _method_of(config: dict[str, Any]) -> str:
    body = config.get("quantization_config") or config.get("compression_config")
    return str(body.get("quant_method", "unknown"))[:40] if isinstance(body, dict) else "unknown"


def _check_names(chosen: dict[str, tuple[int, int]], model: str) -> None:
    """An adapter's file names layers in one way, and all layers alike."""
    strange = next((name for name in chosen if not is_adaptable(name)), None)
    if not chosen:
        raise VerificationError(f"{model} has no layers that an adapter can change", "use a Llama-like model")
    if strange:
        raise VerificationError(f"{model} has {strange}, a layer that no adapter names", "use a Llama-like model")
    layers = Counter(re.sub(r"layers\.(\d+)\..*", r"\1", name) for name in chosen)
    if len(set(layers.values())) > 1:
        raise VerificationError(f"{model} has layers of different kinds", "use a Llama-like model")


def _check_memory(weights: int, in_matrices: int, model: str) -> None:
    import torch

    if torch.cuda.is_available():
        memory, rest_bytes = torch.cuda.mem_get_info()[1], 2
    else:
        memory, rest_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), 4
    needed = in_matrices * _BYTES_PER_QUANTIZED_WEIGHT + (weights - in_matrices) * rest_bytes
    if needed > memory:
        raise VerificationError(
            f"{model} needs {needed / 2**30:.0f} GiB of memory, this machine has {memory / 2**30:.0f}",
            "use a smaller one",
        )
