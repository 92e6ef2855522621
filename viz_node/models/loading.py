"""Loads a base model in 4 bits with a LoRA adapter, on CUDA if present, and guards it against silent corruption."""

import json
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import bitsandbytes
import torch
from peft import LoraConfig, get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict
from safetensors.torch import load_file, save_file
from torch.nn import Module
from transformers import (
    AutoModelForCausalLM,
    AutoTokenizer,
    BitsAndBytesConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from viz_node.domain.recipe import Recipe
from viz_node.domain.training import AUTO
from viz_node.errors import TrainingError, VerificationError
from viz_node.models.adapter_files import (
    CONFIG_NAME,
    WEIGHTS_NAME,
    adapter_digest,
    check_adapter,
    config_bytes,
    picks,
)
from viz_node.models.bases import ResolvedBase
from viz_node.models.targets import Targets, adaptable_layers, module_names, shortest_names

AMX_HIDDEN_SIZE = 1024
Model = TypeVar("Model", bound=Module)

transformers_logging.disable_progress_bar()
warnings.filterwarnings("ignore", category=FutureWarning)


@dataclass(frozen=True)
class Placement:
    """Where a model computes, and in which type."""

    device: str
    dtype: torch.dtype


def choose_placement(hidden_size: int = 0, device: str = AUTO) -> Placement:
    """CUDA in bf16 when it can; a CPU computes in fp32, or in bf16 if it has AMX and the model is wide enough to gain.

    Without AMX, bf16 products take twice the time of fp32 ones. The choice depends on nothing that varies between two
    runs on one machine, so that a resumed run computes as before. GPUs are numbered as CUDA_VISIBLE_DEVICES leaves
    them. Raises: TrainingError (this machine has no such device).
    """
    gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device == AUTO:
        device = "cuda:0" if gpus else "cpu"
    if device != "cpu" and device not in [f"cuda:{number}" for number in range(gpus)]:
        raise TrainingError(
            f"PyTorch finds no {device} on this machine (GPUs found: {gpus})",
            'set device = "auto" in config.toml, or check CUDA_VISIBLE_DEVICES and the driver',
        )
    gains = has_fast_bf16(device) and (device != "cpu" or hidden_size >= AMX_HIDDEN_SIZE)
    return Placement(device, torch.bfloat16 if gains else torch.float32)


def has_fast_bf16(device: str) -> bool:
    """Whether the device multiplies bf16 in hardware: a GPU since compute capability 8.0, a CPU with AMX."""
    if device != "cpu":
        return bool(torch.cuda.get_device_capability(device) >= (8, 0))
    return bool(getattr(torch.cpu, "_is_amx_tile_supported", bool)())


def load_base(directory: Path, device: str = AUTO, dtype: torch.dtype | None = None) -> PreTrainedModel:
    """The frozen causal model: NF4 with double quantization, guarded; it computes in what suits the device best.

    Raises: TrainingError.
    """
    placement = choose_placement(_hidden_size(directory), device)
    placement = placement if dtype is None else Placement(placement.device, dtype)
    quantization = BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=placement.dtype,
    )
    try:
        model = AutoModelForCausalLM.from_pretrained(
            directory,
            quantization_config=quantization,
            device_map={"": placement.device},
            dtype=placement.dtype,
            local_files_only=True,
            use_safetensors=True,
            trust_remote_code=False,
        )
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        raise TrainingError(f"the base model does not load: {error}", "install it again") from error
    model.requires_grad_(False)
    return guard(model, placement.dtype)


def _hidden_size(directory: Path) -> int:
    try:
        return int(json.loads((directory / "config.json").read_bytes()).get("hidden_size", 0))
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise TrainingError(f"the base model's configuration is unreadable: {error}", "install it again") from error


def load_tokenizer(directory: Path) -> PreTrainedTokenizerBase:
    """The base model's own tokenizer, from this disk only. Raises: TrainingError."""
    try:
        return AutoTokenizer.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise TrainingError(f"the base model's tokenizer does not load: {error}", "install it again") from error


def guard(model: Model, dtype: torch.dtype | None = None) -> Model:
    """Keep bitsandbytes from repacking 4-bit weights in place at the first evaluation, and let it compute in `dtype`.

    On CPUs with AVX512-BF16 it repacks in eval mode, and gradients are wrong ever after, without a warning. Models that
    are stored in 4 bits bring the type of the machine that they were made on.
    """
    for module in model.modules():
        if isinstance(module, bitsandbytes.nn.Linear4bit):
            module.support_avx512bf16_for_cpu = False
            module.compute_dtype = dtype or module.compute_dtype
    return model


def context_of(model: Any) -> int | None:
    """How many tokens the model reads at once, if it has such a bound."""
    config = model.config.get_text_config()
    named = (getattr(config, name, None) for name in ("max_position_embeddings", "n_positions", "max_seq_len"))
    return next((number for number in named if type(number) is int and number > 0), None)


def attach_adapter(model: Any, targets: Targets, recipe: Recipe, seed: int, base_name: str) -> Any:
    """A PEFT model with the recipe's fresh adapter on the targets; A is drawn from the seed, B is zero.

    It stays in evaluation mode, also while it is trained: a base model's dropout would make a resumed run another one.
    Raises: VerificationError (PEFT attaches no such adapter to this model).
    """
    torch.manual_seed(seed)
    config = _lora_config(recipe.rank, recipe.written_alpha, targets.names, base_name, recipe.dora)
    config.lora_dropout = recipe.dropout
    try:
        peft_model = get_peft_model(model, config).eval()
    except (ValueError, TypeError, NotImplementedError, RuntimeError) as error:
        cause = " ".join(str(error).split())[:150]
        raise VerificationError(f"{base_name} cannot be trained so: {cause}", "train without dora") from error
    for name, parameter in peft_model.named_parameters():
        if "lora_" in name:
            parameter.data = parameter.data.float()
    return peft_model


def load_adapter(model: Any, base: ResolvedBase, directory: Path, digest: str = "") -> Any:
    """A PEFT model with a checked adapter. Raises: VerificationError, TrainingError (another digest)."""
    layers = adaptable_layers(model)
    facts = check_adapter(directory, layers)
    if digest and adapter_digest(directory) != digest:
        raise TrainingError("the adapter on disk is not the one asked for", "fetch or train it again")
    # Names of a stranger may also pick layers of towers for pictures; those that the file has weights for do not.
    names = shortest_names((path for path in layers if picks(set(facts.modules), path)), module_names(model))
    peft_model = get_peft_model(model, _lora_config(facts.rank, facts.alpha, names, base.name, facts.is_dora))
    weights = load_file(directory / WEIGHTS_NAME)
    set_peft_model_state_dict(peft_model, weights)
    arrived = get_peft_model_state_dict(peft_model)
    if arrived.keys() != weights.keys() or not all(
        torch.equal(arrived[n].cpu(), weights[n].to(arrived[n].dtype)) for n in weights
    ):
        raise VerificationError("PEFT places the adapter's weights elsewhere", "use another base model or adapter")
    return peft_model.eval()


def save_adapter(peft_model: Any, names: Sequence[str], directory: Path, base_name: str) -> None:
    """Write the adapter on the layers of these names as the two files that `check_adapter` accepts."""
    config = peft_model.peft_config["default"]
    directory.mkdir(parents=True, exist_ok=True)
    weights = {
        name: tensor.float().cpu().contiguous() for name, tensor in get_peft_model_state_dict(peft_model).items()
    }
    raw = config_bytes(config.r, config.lora_alpha, names, base_name, config.use_dora)
    (directory / CONFIG_NAME).write_bytes(raw)
    save_file(weights, directory / WEIGHTS_NAME, metadata={"format": "pt"})


def _lora_config(rank: int, alpha: int, names: Sequence[str], base_name: str, is_dora: bool) -> LoraConfig:
    warnings.filterwarnings("ignore", module="peft")
    return LoraConfig(
        r=rank,
        lora_alpha=alpha,
        target_modules=list(names),
        lora_dropout=0.0,
        bias="none",
        use_dora=is_dora,
        task_type="CAUSAL_LM",
        base_model_name_or_path=base_name,
    )
