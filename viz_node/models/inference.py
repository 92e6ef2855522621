"""Generates text from a base model with an adapter, token by token."""

from collections.abc import Callable
from typing import Any

import torch

from viz_node.domain.limits import NEW_TOKENS
from viz_node.domain.sampling import Sampling
from viz_node.domain.training import TextWritten
from viz_node.errors import UsageError
from viz_node.models.literal import encode_text
from viz_node.models.loading import context_of

# Of models that state none: more than anybody asks for.
_NO_BOUND = 1 << 20


def generate(
    model: Any,
    tokenizer: Any,
    prompt: str,
    max_new_tokens: int,
    sampling: Sampling,
    on_text: Callable[[str], None],
) -> TextWritten:
    """Continue the prompt and call `on_text` with each new piece.

    A prompt that leaves too little of the model's context is cut at its beginning, and the answer says by how many
    tokens. Raises: UsageError (nothing to continue, numbers out of range).
    """
    NEW_TOKENS.check(max_new_tokens)
    begin = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
    context = context_of(model) or _NO_BOUND
    whole = begin + encode_text(tokenizer, prompt)
    prompt_ids = whole[-max(1, context - max_new_tokens) :]
    if not prompt_ids:
        raise UsageError("the prompt is empty")
    generator = torch.Generator().manual_seed(sampling.seed)
    produced: list[int] = []
    text, shown, finish_reason, cache = "", 0, "length", None
    step_ids = torch.tensor([prompt_ids], device=model.device)
    with torch.no_grad():
        while len(produced) < min(max_new_tokens, context - len(prompt_ids)):
            output = model(input_ids=step_ids, **({} if cache is None else {"past_key_values": cache}), use_cache=True)
            cache = getattr(output, "past_key_values", None)
            token = _choose(output.logits[0, -1].float().cpu(), sampling, generator)
            if token == tokenizer.eos_token_id:
                finish_reason = "stop"
                break
            produced.append(token)
            # A model without such a cache reads everything again.
            step_ids = torch.tensor([[token] if cache is not None else prompt_ids + produced], device=model.device)
            text = tokenizer.decode(produced, skip_special_tokens=True)
            end = _first_stop(text, sampling.stop)
            if end is not None:
                text, finish_reason = text[:end], "stop"
                break
            ready = _settled(text, sampling.stop)
            if ready > shown:
                on_text(text[shown:ready])
                shown = ready
    if len(text) > shown:
        on_text(text[shown:])
    return TextWritten(text, len(produced), len(prompt_ids), finish_reason, prompt_cut=len(whole) - len(prompt_ids))


def _settled(text: str, stops: tuple[str, ...]) -> int:
    """How much of the text no later token changes.

    An unfinished UTF-8 sequence decodes to a replacement sign, and the end of the text may be the beginning of a stop.
    """
    if text.endswith("\ufffd"):
        return 0
    longest = max((size for stop in stops for size in range(1, len(stop)) if text.endswith(stop[:size])), default=0)
    return len(text) - longest


def _first_stop(text: str, stops: tuple[str, ...]) -> int | None:
    return min((place for stop in stops if (place := text.find(stop)) >= 0), default=None)


def _choose(logits: torch.Tensor, sampling: Sampling, generator: torch.Generator) -> int:
    if sampling.temperature == 0:
        return int(logits.argmax())
    probabilities = torch.softmax(logits / sampling.temperature, -1)
    probabilities[probabilities < sampling.min_p * probabilities.max()] = 0
    if sampling.top_p < 1:
        ranked, places = probabilities.sort(descending=True)
        before = ranked.cumsum(0) - ranked
        probabilities[places[before >= sampling.top_p * ranked.sum()]] = 0
    return int(torch.multinomial(probabilities, 1, generator=generator))
