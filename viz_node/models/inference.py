"""Generates text from a base model with an adapter, token by token."""

from collections.abc import Callable
from typing import Any

import torch

from viz_node.domain.training import TextWritten
from viz_node.errors import UsageError
from viz_node.models.literal import encode_text
from viz_node.models.loading import context_of

# Tokens below this share of the likeliest one are not drawn (min-p, Nguyen et al. 2024): a small model gives each of
# many wrong tokens a little, and together they derail its text.
MIN_SHARE = 0.1
# Of models that state none: more than anybody asks for.
_NO_BOUND = 1 << 20


def generate(
    model: Any,
    tokenizer: Any,
    prompt: str,
    max_new_tokens: int,
    sampling: tuple[float, int],
    on_text: Callable[[str], None],
) -> TextWritten:
    """Continue the prompt and call `on_text` with each new piece; `sampling` is (temperature, seed), 0 is greedy.

    Raises: UsageError (numbers out of range).
    """
    temperature, seed = sampling
    if not 1 <= max_new_tokens <= 4096 or not 0 <= temperature <= 5:
        raise UsageError("max_new_tokens must be 1 to 4096 and temperature 0 to 5")
    begin = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
    context = context_of(model) or _NO_BOUND
    prompt_ids = (begin + encode_text(tokenizer, prompt))[-max(1, context - max_new_tokens) :]
    if not prompt_ids:
        raise UsageError("the prompt is empty")
    generator = torch.Generator().manual_seed(seed)
    produced: list[int] = []
    shown, finish_reason, cache = "", "length", None
    step_ids = torch.tensor([prompt_ids], device=model.device)
    with torch.no_grad():
        while len(produced) < min(max_new_tokens, context - len(prompt_ids)):
            output = model(input_ids=step_ids, **({} if cache is None else {"past_key_values": cache}), use_cache=True)
            cache = getattr(output, "past_key_values", None)
            token = _choose(output.logits[0, -1].float().cpu(), temperature, generator)
            if token == tokenizer.eos_token_id:
                finish_reason = "stop"
                break
            produced.append(token)
            # A model without such a cache reads everything again.
            step_ids = torch.tensor([[token] if cache is not None else prompt_ids + produced], device=model.device)
            text = tokenizer.decode(produced, skip_special_tokens=True)
            # an unfinished UTF-8 sequence decodes to a replacement sign; it is shown once it is whole
            if not text.endswith("\ufffd"):
                on_text(text[len(shown) :])
                shown = text
    text = tokenizer.decode(produced, skip_special_tokens=True)
    return TextWritten(text, len(produced), len(prompt_ids), finish_reason)


def _choose(logits: torch.Tensor, temperature: float, generator: torch.Generator) -> int:
    if temperature == 0:
        return int(logits.argmax())
    probabilities = torch.softmax(logits / temperature, -1)
    probabilities[probabilities < MIN_SHARE * probabilities.max()] = 0
    return int(torch.multinomial(probabilities, 1, generator=generator))
