"""The forward pass of a Llama-like model with LoRA over packed documents, without what training does not need.

Same mathematics as PEFT on transformers (test_models_families compares losses and gradients of each family). But
projections that share their input share one LoRA product, 4-bit weights are expanded only while used, documents are
concatenated without padding and attend by one causal SDPA each, and the loss is computed in chunks for counted tokens
only, so that no tensor of tokens x vocabulary is kept. Knows no optimizer.
"""

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from bitsandbytes.functional import dequantize_4bit
from torch import Tensor, nn
from torch.nn import functional
from torch.utils.checkpoint import checkpoint
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

_CHUNK_TOKENS = 512
_FAMILIES = {"llama", "mistral", "qwen2", "qwen3", "smollm3", "olmo2"}
_STRETCHED_BY_LENGTH = {"dynamic", "longrope"}


@dataclass(frozen=True)
class TokenizedDocument:
    """Token ids, and for each whether predicting it counts in the loss (the first never does)."""

    ids: tuple[int, ...]
    counted: tuple[bool, ...]


def is_lean_supported(model: nn.Module, longest: int = 1) -> bool:
    """Whether `packed_loss_sum` computes this model with its adapter exactly, on documents of at most `longest` tokens.

    Of the families whose blocks it knows, all layers must be adapted, by LoRA without dropout, and the head must not be
    quantized. No document may be longer than the attention window, and positions must not be stretched by the length of
    the longest one.
    """
    config = model.config
    if config.model_type not in _FAMILIES or config.hidden_act != "silu":
        return False
    head, layers = model.lm_head, model.model.layers
    adapted = all(_is_plainly_adapted(part) for layer in layers for part in _projections(layer))
    windows = [getattr(layer.self_attn, "sliding_window", getattr(config, "sliding_window", None)) for layer in layers]
    is_plain = head.bias is None and not hasattr(head.weight, "quant_state")
    is_wide = all(longest <= window for window in windows if window)
    return adapted and is_plain and is_wide and model.model.rotary_emb.rope_type not in _STRETCHED_BY_LENGTH


def _is_plainly_adapted(part: nn.Module) -> bool:
    if not hasattr(part, "lora_A") or part.disable_adapters or part.lora_variant:
        return False
    return all(isinstance(drop, nn.Identity) or not drop.training for drop in part.lora_dropout.values())


def loss_sum(peft_model: nn.Module, documents: Sequence[TokenizedDocument]) -> tuple[Tensor, int]:
    """Summed cross entropy and number of counted tokens; the lean path if the architecture allows it."""
    longest = max(len(document.ids) for document in documents)
    if is_lean_supported(peft_model.base_model.model, longest):
        return packed_loss_sum(peft_model, documents)
    return _plain_loss_sum(peft_model, documents)


def packed_loss_sum(peft_model: nn.Module, documents: Sequence[TokenizedDocument]) -> tuple[Tensor, int]:
    """Summed cross entropy over the counted tokens of all documents in one packed pass, and their number."""
    causal = peft_model.base_model.model
    decoder, device = causal.model, causal.device
    boundaries, selected, labels = [0], [], []
    for document in documents:
        start = boundaries[-1]
        positions = [i for i, counts in enumerate(document.counted) if counts and i]
        selected += [start + i - 1 for i in positions]
        labels += [document.ids[i] for i in positions]
        boundaries.append(start + len(document.ids))
    ids = torch.tensor([[token for document in documents for token in document.ids]], device=device)
    places = torch.cat([torch.arange(len(document.ids)) for document in documents])[None].to(device)
    hidden = decoder.embed_tokens(ids)
    rotation = decoder.rotary_emb(hidden, places)
    for layer in decoder.layers:
        if torch.is_grad_enabled() and getattr(layer, "gradient_checkpointing", False):
            hidden = checkpoint(_block, layer, hidden, rotation, boundaries, use_reentrant=False)
        else:
            hidden = _block(layer, hidden, rotation, boundaries)
    hidden = _normalize(decoder.norm, hidden)[0].index_select(0, torch.tensor(selected, device=device))
    targets = torch.tensor(labels, device=device)
    head = causal.lm_head.weight
    total: Tensor = _HeadLoss.apply(hidden, head, targets, hidden.requires_grad)
    return total, len(labels)


def _plain_loss_sum(peft_model: nn.Module, documents: Sequence[TokenizedDocument]) -> tuple[Tensor, int]:
    total, count = torch.zeros((), device=peft_model.device), 0
    for document in documents:
        ids = torch.tensor([document.ids], device=peft_model.device)
        counted = torch.tensor(document.counted[1:], device=peft_model.device)
        logits = peft_model(input_ids=ids).logits[0, :-1][counted].float()
        total = total + functional.cross_entropy(logits, ids[0, 1:][counted], reduction="sum")
        count += int(counted.sum())
    return total, count


def _dense(layer: nn.Module, dtype: torch.dtype) -> Tensor:
    state = getattr(layer.weight, "quant_state", None)
    weight: Tensor = layer.weight if state is None else dequantize_4bit(layer.weight.data, state)
    return weight.to(dtype)


class _LoraProjections(torch.autograd.Function):
    """y_i = x W_i^T + b_i + s_i (x A_i^T) B_i^T for projections that share x.

    W_i and b_i are frozen; W_i is expanded twice and never stored.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, layers: list[nn.Module], scales: list[float], *ab: Tensor) -> tuple[Tensor, ...]:
        rows, n = x.reshape(-1, x.shape[-1]), len(layers)
        a, b = ab[:n], ab[n:]
        inner = (rows @ torch.cat(a).t()).split([part.shape[0] for part in a], dim=1)
        outputs = []
        for layer, scale, u, up in zip(layers, scales, inner, b, strict=True):
            bias = None if layer.bias is None else layer.bias.to(x.dtype)
            y = functional.linear(rows, _dense(layer, x.dtype), bias).addmm_(u, up.t(), alpha=scale)
            outputs.append(y.view(*x.shape[:-1], -1))
        ctx.save_for_backward(rows, *inner, *ab)
        ctx.layers, ctx.scales, ctx.shape = layers, scales, x.shape
        return tuple(outputs)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Any, ...]:
        n = len(ctx.layers)
        rows, *rest = ctx.saved_tensors
        inner, a, b = rest[:n], rest[n : 2 * n], rest[2 * n :]
        dx, down, db = None, [], []
        for i, gradient in enumerate(gradients):
            g = gradient.reshape(-1, gradient.shape[-1])
            db.append((g.t() @ inner[i]).mul_(ctx.scales[i]))
            down.append((g @ b[i]).mul_(ctx.scales[i]))
            if ctx.needs_input_grad[0]:
                weight = _dense(ctx.layers[i], g.dtype)
                dx = g @ weight if dx is None else dx.addmm_(g, weight)
        joined = torch.cat(down, 1)
        if dx is not None:
            dx = dx.addmm_(joined, torch.cat(a)).view(ctx.shape)
        da = (joined.t() @ rows).split([part.shape[0] for part in a])
        return dx, None, None, *da, *db


class _SwiGlu(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, gate: Tensor, up: Tensor) -> Tensor:
        ctx.save_for_backward(gate, up)
        return functional.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor]:
        gate, up = ctx.saved_tensors
        slope = torch.sigmoid(gate)
        silu = gate * slope
        d_up = gradient * silu
        # silu' = s + silu (1 - s), in place of three temporaries
        slope.add_(silu.mul_(1 - slope))
        return slope.mul_(up).mul_(gradient), d_up


class _RmsNorm(torch.autograd.Function):
    """RMSNorm with a frozen weight; sums in 32 bits."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, epsilon: float) -> Tensor:
        scale = x.float().square().mean(-1, keepdim=True).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        return (x.float() * scale).to(x.dtype) * weight.to(x.dtype)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:
        x, weight, scale = ctx.saved_tensors
        weighted, values = (gradient * weight.to(gradient.dtype)).float(), x.float()
        mean = (weighted * values).mean(-1, keepdim=True).mul_(scale * scale)
        return weighted.addcmul_(values, mean, value=-1).mul_(scale).to(x.dtype), None, None


class _HeadLoss(torch.autograd.Function):
    """Frozen head and summed cross entropy in chunks; the gradient of the hidden states is made in the forward pass."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, labels: Tensor, with_gradient: bool) -> Tensor:
        gradient = torch.empty_like(hidden) if with_gradient else None
        weight, total = head.to(hidden.dtype), torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, hidden.shape[0], _CHUNK_TOKENS):
            part, targets = hidden[start : start + _CHUNK_TOKENS], labels[start : start + _CHUNK_TOKENS]
            logits = (part @ weight.t()).float()
            normalizer = torch.logsumexp(logits, -1, keepdim=True)
            total += (normalizer.squeeze(1) - logits.gather(1, targets[:, None]).squeeze(1)).sum()
            if gradient is not None:
                logits.sub_(normalizer).exp_()
                logits[torch.arange(len(targets), device=hidden.device), targets] -= 1.0
                gradient[start : start + _CHUNK_TOKENS] = logits.to(hidden.dtype) @ weight
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        (d_hidden,) = ctx.saved_tensors
        return d_hidden * gradient.to(d_hidden.dtype), None, None, None


def _project(modules: list[nn.Module], x: Tensor) -> tuple[Tensor, ...]:
    name = modules[0].active_adapters[0]
    a = [module.lora_A[name].weight.to(x.dtype) for module in modules]
    b = [module.lora_B[name].weight.to(x.dtype) for module in modules]
    layers, scales = [module.base_layer for module in modules], [module.scaling[name] for module in modules]
    outputs: tuple[Tensor, ...] = _LoraProjections.apply(x, layers, scales, *a, *b)
    return outputs


def _normalize(norm: nn.Module, x: Tensor) -> Tensor:
    output: Tensor = _RmsNorm.apply(x, norm.weight, norm.variance_epsilon)
    return output


def _projections(layer: nn.Module) -> tuple[nn.Module, ...]:
    attention, mlp = layer.self_attn, layer.mlp
    ends = attention.o_proj, mlp.gate_proj, mlp.up_proj, mlp.down_proj
    return attention.q_proj, attention.k_proj, attention.v_proj, *ends


def _block(layer: nn.Module, hidden: Tensor, rotation: tuple[Tensor, Tensor], boundaries: list[int]) -> Tensor:
    if hasattr(layer, "input_layernorm"):
        hidden = hidden + _attend(layer.self_attn, _normalize(layer.input_layernorm, hidden), rotation, boundaries)
        return hidden + _feed_forward(layer.mlp, _normalize(layer.post_attention_layernorm, hidden))
    # OLMo 2 normalizes what a part gives, not what it gets.
    attended = _attend(layer.self_attn, hidden, rotation, boundaries)
    hidden = hidden + _normalize(layer.post_attention_layernorm, attended)
    return hidden + _normalize(layer.post_feedforward_layernorm, _feed_forward(layer.mlp, hidden))


def _feed_forward(mlp: nn.Module, x: Tensor) -> Tensor:
    gate, up = _project([mlp.gate_proj, mlp.up_proj], x)
    return _project([mlp.down_proj], _SwiGlu.apply(gate, up))[0]


def _normalize_heads(norm: nn.Module | None, projected: Tensor, shape: tuple[int, ...]) -> Tensor:
    """By heads; normalized within each (Qwen 3) or over all of them (OLMo 2), where the attention does so."""
    if norm is None:
        return projected.view(shape)
    if norm.weight.shape[0] == shape[-1]:
        return _normalize(norm, projected.view(shape))
    return _normalize(norm, projected).view(shape)


def _attend(attention: nn.Module, x: Tensor, rotation: tuple[Tensor, Tensor], boundaries: list[int]) -> Tensor:
    shape = (*x.shape[:-1], -1, attention.head_dim)
    query, key, value = _project([attention.q_proj, attention.k_proj, attention.v_proj], x)
    query = _normalize_heads(getattr(attention, "q_norm", None), query, shape).transpose(1, 2)
    key = _normalize_heads(getattr(attention, "k_norm", None), key, shape).transpose(1, 2)
    value = value.view(shape).transpose(1, 2)
    if getattr(attention, "use_rope", True):
        rotated = apply_rotary_pos_emb(query, key, *rotation)
        query, key = (part.to(value.dtype) for part in rotated)
    grouped = query.shape[1] != key.shape[1]
    parts = [
        functional.scaled_dot_product_attention(
            query[:, :, start:end],
            key[:, :, start:end],
            value[:, :, start:end],
            is_causal=True,
            scale=attention.scaling,
            enable_gqa=grouped,
        )
        for start, end in itertools.pairwise(boundaries)
    ]
    joined = torch.cat(parts, 2).transpose(1, 2).reshape(*x.shape[:-1], -1)
    return _project([attention.o_proj], joined)[0]
