"""Base models of many families for tests: tiny ones of random weights, by the names that transformers has for them."""

from pathlib import Path
from typing import Any

import torch
from transformers import CONFIG_MAPPING, AutoModelForCausalLM, PretrainedConfig

# What the families call their sizes; a family takes those that it knows.
SIZES: dict[str, Any] = {
    "vocab_size": 64, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 4, "num_attention_heads": 4,
    "num_key_value_heads": 2, "head_dim": 8, "max_position_embeddings": 128, "sliding_window": 8, "rotary_dim": 4,
    "pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2,
    "n_embd": 32, "n_layer": 4, "n_head": 4, "n_positions": 128, "n_ctx": 128, "n_inner": 64,
    "d_model": 32, "ffn_dim": 48, "word_embed_proj_dim": 32, "num_layers": 4,
    "moe_intermediate_size": 16, "shared_expert_intermediate_size": 16, "shared_intermediate_size": 16,
    "num_experts": 4, "num_local_experts": 4, "n_routed_experts": 4, "num_experts_per_tok": 2, "n_shared_experts": 1,
    "n_group": 1, "topk_group": 1, "q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 8,
    "qk_nope_head_dim": 8, "v_head_dim": 8,
    "state_size": 8, "time_step_rank": 4, "mamba_n_heads": 4, "mamba_d_head": 16, "mamba_d_state": 8,
    "mamba_n_groups": 1, "mamba_chunk_size": 16,
    "linear_num_key_heads": 2, "linear_num_value_heads": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 8,
    "vocab_size_per_layer_input": 64, "hidden_size_per_layer_input": 8, "num_kv_shared_layers": 2, "laurel_rank": 4,
    "image_size": 16, "patch_size": 4, "mm_tokens_per_image": 4,
}  # fmt: skip
_MIXED, _WIDE = ["sliding_attention", "full_attention"] * 2, {"head_dim": 16}
_WITH_CONV = {"layer_types": ["conv", "full_attention"] * 2}
# What a family needs besides, so that the tiny model has every kind of block that its large ones have.
BESIDES: dict[str, dict[str, Any]] = {
    "gemma4_text": {"layer_types": _MIXED, "per_layer_config": {1: _WIDE, 3: _WIDE}, "head_dim": 8},
    "gpt_neo": {"attention_types": [[["global", "local"], 2]]},
    "lfm2": _WITH_CONV | {"block_auto_adjust_ff_dim": False},
    "lfm2_moe": _WITH_CONV | {"num_dense_layers": 1},
    "granitemoehybrid": {"layer_types": ["mamba", "attention"] * 2},
    "qwen3_moe": {"mlp_only_layers": [0]},
    "deepseek_v2": {"first_k_dense_replace": 1, "num_key_value_heads": 4, "num_experts_per_tok": 2, "head_dim": 8},
    "deepseek_v3": {"first_k_dense_replace": 1, "num_key_value_heads": 4},
    "jamba": {"attn_layer_period": 2, "attn_layer_offset": 1, "mamba_dt_rank": 4},
    "falcon_h1": {"mamba_d_ssm": 64},
    "mamba2": {"num_heads": 4, "head_dim": 16, "n_groups": 1},
    "nemotron": {"head_dim": 8, "num_key_value_heads": 2},
}  # fmt: skip


def tiny_config(family: str, **sizes: Any) -> PretrainedConfig:
    """The configuration of a tiny model of the family, without dropout."""
    kind = CONFIG_MAPPING[family]
    return kind(**_sizes_of(kind()) | BESIDES.get(family, {}) | sizes)


def write_family(family: str, folder: Path, **sizes: Any) -> None:
    """A tiny model of the family as hubs hold them, without a tokenizer; no bias is 0 and no norm is 1 in it."""
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(tiny_config(family, **sizes))
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim == 1:
                parameter.add_(0.1 * torch.randn_like(parameter))
    model.save_pretrained(folder)


def _sizes_of(config: PretrainedConfig) -> dict[str, Any]:
    known = vars(config)
    given = {name for name, value in known.items() if value is not None or name in ("head_dim", "pad_token_id")}
    sizes = {name: value for name, value in SIZES.items() if name in given}
    sizes |= {name: 0.0 for name, value in known.items() if "drop" in name and type(value) is float}
    for name in type(config).sub_configs:
        part = getattr(config, name, None)
        if isinstance(part, PretrainedConfig):
            sizes[name] = _sizes_of(part)
    return sizes
