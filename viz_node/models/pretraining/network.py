"""The model that is pre-trained, and its loss without a tensor of tokens x vocabulary."""

import shutil
from typing import Any

import torch
from torch import Tensor
from transformers import LlamaConfig, LlamaForCausalLM

from viz_node.domain.pretraining import PretrainRecipe
from viz_node.models.loading import has_fast_bf16

_CHUNK_TOKENS = 512


def new_model(recipe: PretrainRecipe, vocabulary: int) -> LlamaForCausalLM:
    """A Llama with random weights and tied embeddings; a small one writes best with few numbers per token."""
    torch.manual_seed(recipe.seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=recipe.hidden_size,
            intermediate_size=recipe.intermediate_size,
            num_hidden_layers=recipe.layers,
            num_attention_heads=recipe.heads,
            num_key_value_heads=recipe.key_value_heads,
            max_position_embeddings=recipe.context,
            pad_token_id=0,
            bos_token_id=1,
            eos_token_id=2,
            tie_word_embeddings=True,
        )
    )


def new_optimizers(model: LlamaForCausalLM, recipe: PretrainRecipe) -> list[tuple[torch.optim.Optimizer, float]]:
    """Muon for the layers' matrices, AdamW for the rest, each with its peak rate (Jordan et al. 2024)."""
    layers = [parameter for parameter in model.model.layers.parameters() if parameter.ndim == 2]
    chosen = {id(parameter) for parameter in layers}
    rest = [parameter for parameter in model.parameters() if id(parameter) not in chosen]
    decay, rate = recipe.weight_decay, recipe.learning_rate
    return [
        (torch.optim.Muon(layers, lr=recipe.matrix_rate, weight_decay=decay), recipe.matrix_rate),
        (torch.optim.AdamW(rest, lr=rate, betas=(0.9, 0.95), weight_decay=decay, fused=True), rate),
    ]


class Network:
    """The model as it computes here: in bf16 where the processor multiplies it fast, compiled where a compiler is."""

    def __init__(self, model: LlamaForCausalLM) -> None:
        self.model = model
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        model.to(self.device)
        model.config.use_cache = False
        self.precision = torch.bfloat16 if has_fast_bf16(self.device) else torch.float32
        self.is_compiled = (
            self.device == "cuda" or shutil.which("g++") is not None or shutil.which("clang++") is not None
        )
        self._decoder = torch.compile(model.model, dynamic=False) if self.is_compiled else model.model

    def loss(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Mean cross entropy in nats per token; both are (rows, tokens)."""
        with torch.autocast(self.device, dtype=self.precision, enabled=self.precision is not torch.float32):
            hidden = self._decoder(input_ids=inputs)[0]
        flat = hidden.reshape(-1, hidden.shape[-1])
        loss: Tensor = _HeadLoss.apply(flat, self.model.lm_head.weight, targets.reshape(-1), self.precision)
        return loss


class _HeadLoss(torch.autograd.Function):
    """Mean cross entropy in chunks; both gradients are made in the forward pass."""

    @staticmethod
    def forward(ctx: Any, hidden: Tensor, head: Tensor, targets: Tensor, precision: torch.dtype) -> Tensor:
        weight, count = head.to(precision), targets.numel()
        d_hidden = torch.empty(hidden.shape, dtype=precision, device=hidden.device)
        d_head = torch.zeros(head.shape, dtype=torch.float32, device=hidden.device)
        total = torch.zeros((), dtype=torch.float32, device=hidden.device)
        for start in range(0, count, _CHUNK_TOKENS):
            part, wanted = hidden[start : start + _CHUNK_TOKENS].to(precision), targets[start : start + _CHUNK_TOKENS]
            logits = (part @ weight.t()).float()
            normalizer = torch.logsumexp(logits, -1, keepdim=True)
            total += (normalizer.squeeze(1) - logits.gather(1, wanted[:, None]).squeeze(1)).sum()
            logits.sub_(normalizer).exp_()
            logits[torch.arange(len(wanted), device=hidden.device), wanted] -= 1.0
            slope = logits.div_(count).to(precision)
            d_hidden[start : start + _CHUNK_TOKENS] = slope @ weight
            d_head += slope.t() @ part
        ctx.save_for_backward(d_hidden.to(hidden.dtype), d_head)
        return total / count

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None, None]:
        d_hidden, d_head = ctx.saved_tensors
        return d_hidden * gradient.to(d_hidden.dtype), d_head * gradient, None, None
