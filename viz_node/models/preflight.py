"""Whether a base model can be trained here, judged by its configuration alone, before gigabytes are fetched."""

import json
import math
import operator
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from viz_node.domain.base_needs import BYTES_PER_QUANTIZED_WEIGHT
from viz_node.errors import VerificationError

# Loops run over these before anything is allocated.
_MOST_LAYERS_OR_EXPERTS = 1024
_WORDS_OF_SIZES = "size", "dim", "token"


def check_config(directory: Path, model: str) -> None:
    """Refuse what transformers cannot load without foreign code. Raises: VerificationError."""
    config = _config(directory, model)
    kind = config.get("model_type")
    method = _foreign_method(config)
    if method:
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
        what = f"{model} has a tokenizer that does not load: {_cause(error)}"
        raise VerificationError(what, "use another model") from error


def check_layers(directory: Path, model: str) -> None:
    """Judge a model built from its configuration alone, without weights.

    Raises: VerificationError (no layers that an adapter could change; too large for this machine).
    """
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    from viz_node.models.targets import choose_targets, is_linear

    try:
        config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        with torch.device("meta"):
            empty = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    except Exception as error:
        # What a stranger's numbers make of a model raises nearly anything.
        raise VerificationError(
            f"{model} cannot be built from its configuration: {_cause(error)}", "use another one"
        ) from error
    choose_targets(empty, model)
    in_matrices = sum(part.weight.numel() for part in empty.modules() if is_linear(part))
    _check_memory(sum(part.numel() for part in empty.parameters()), in_matrices, model)


def check_weights(directory: Path, model: str) -> None:
    """Compare the weights with the configuration by names and shapes alone; quantized loading would not notice.

    Raises: VerificationError (weights are missing, of another shape, or of more layers than the configuration has).
    """
    from transformers import AutoConfig, AutoModelForCausalLM

    hint = "use another model, or install it again"
    try:
        config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
        # Without this, the weights would have to be there to be compared.
        is_packed = config.__dict__.pop("quantization_config", None) is not None
        with _unreported():
            empty, found = AutoModelForCausalLM.from_pretrained(
                directory,
                config=config,
                device_map="meta",
                output_loading_info=True,
                ignore_mismatched_sizes=True,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
            )
    except Exception as error:
        raise VerificationError(f"{model} cannot be loaded: {_cause(error)}", hint) from error
    kinds = {_without_numbers(name) for name, _ in empty.named_parameters()}
    odd = {name for name in found["unexpected_keys"] if _without_numbers(name) in kinds} | set(found["missing_keys"])
    # Of a packed matrix, each byte holds two weights.
    is_odd_shape = (lambda stored, meant: 2 * math.prod(stored) != math.prod(meant)) if is_packed else operator.ne
    odd |= {name for name, stored, meant in found["mismatched_keys"] if is_odd_shape(tuple(stored), tuple(meant))}
    if is_packed and not found["mismatched_keys"]:
        odd.add("none of them is quantized")
    if odd:
        raise VerificationError(f"{model} has other weights than its configuration says: {min(odd)[:100]}", hint)


@contextmanager
def _unreported() -> Iterator[None]:
    """Without the library's own table of differences in the log."""
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)


def _without_numbers(name: str) -> str:
    return re.sub(r"[0-9]+", "#", name)


def _cause(error: Exception) -> str:
    return " ".join(str(error).split())[:150]


def _config(directory: Path, model: str) -> dict[str, Any]:
    try:
        config = json.loads((directory / "config.json").read_bytes())
        items = [item for part in (config, *_parts(config)) for item in part.items()]
    except (OSError, ValueError, AttributeError, RecursionError) as error:
        raise VerificationError(f"{model} has a malformed config.json", "use another model") from error
    for key, value in items:
        is_count = ("layer" in key or "expert" in key) and not any(word in key for word in _WORDS_OF_SIZES)
        if is_count and type(value) is int and value > _MOST_LAYERS_OR_EXPERTS:
            raise VerificationError(f"{model} has a config.json with an absurd {key}", "use another model")
    return dict(config)


def _parts(config: dict[str, Any]) -> list[dict[str, Any]]:
    return [value for value in config.values() if isinstance(value, dict)]


def _foreign_method(config: dict[str, Any]) -> str:
    """How the weights are stored, unless as they come or in the 4 bits that we train with."""
    body = config.get("quantization_config", config.get("compression_config"))
    if body is None:
        return ""
    if not isinstance(body, dict):
        return "unknown"
    method = str(body.get("quant_method", "unknown"))[:40]
    named = {"load_in_4bit": True, "bnb_4bit_quant_type": "nf4", "bnb_4bit_quant_storage": "uint8"}
    is_ours = method == "bitsandbytes" and all(body.get(name) == value for name, value in named.items())
    return "" if is_ours else method


def _check_memory(weights: int, in_matrices: int, model: str) -> None:
    import torch

    if torch.cuda.is_available():
        memory, rest_bytes = torch.cuda.mem_get_info()[1], 2
    else:
        memory, rest_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"), 4
    needed = in_matrices * BYTES_PER_QUANTIZED_WEIGHT + (weights - in_matrices) * rest_bytes
    if needed > memory:
        raise VerificationError(
            f"{model} needs {needed / 2**30:.0f} GiB of memory, this machine has {memory / 2**30:.0f}",
            "use a smaller one",
        )
