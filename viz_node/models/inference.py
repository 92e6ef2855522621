"""Generates text from a base model with an adapter, token by token."""

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import torch
from torch.nn import Module
from transformers import PreTrainedTokenizerBase

from viz_node.domain.conversation import Message
from viz_node.domain.limits import NEW_TOKENS
from viz_node.domain.sampling import Sampling
from viz_node.domain.training import TextWritten
from viz_node.errors import UsageError
from viz_node.models.chat import encode_question
from viz_node.models.literal import encode_text
from viz_node.models.loading import context_of

# Of models that state none: more than anybody asks for.
_NO_BOUND = 1 << 20
_UNFINISHED = "\N{REPLACEMENT CHARACTER}"


def generate(
    model: Module,
    tokenizer: PreTrainedTokenizerBase,
    prompt: str | Sequence[Message],
    max_new_tokens: int,
    sampling: Sampling,
    on_text: Callable[[str], None],
) -> TextWritten:
    """Continue the prompt, or answer the messages; call `on_text` once per token with what is new, perhaps nothing.

    A prompt that leaves too little of the model's context is cut at its beginning, and the answer says by how many
    tokens. What `on_text` raises ends the writing. Raises: UsageError (nothing to continue, numbers out of range).
    """
    NEW_TOKENS.check(max_new_tokens)
    context, ends = context_of(model) or _NO_BOUND, _ends(model, tokenizer)
    whole = _asked(tokenizer, prompt)
    prompt_ids = whole[-max(1, context - max_new_tokens) :]
    if not prompt_ids:
        raise UsageError("the prompt is empty")
    text, count, finish_reason = _Text(tokenizer, sampling.stop), 0, "length"
    for token in islice(_draw(model, prompt_ids, sampling), min(max_new_tokens, context - len(prompt_ids))):
        is_end = token in ends
        count += not is_end
        if is_end or text.add(token):
            finish_reason = "stop"
            break
        on_text(text.take())
    on_text(text.rest())
    return TextWritten(text.whole, count, len(prompt_ids), finish_reason, prompt_cut=len(whole) - len(prompt_ids))


def _asked(tokenizer: PreTrainedTokenizerBase, prompt: str | Sequence[Message]) -> list[int]:
    if not isinstance(prompt, str):
        return encode_question(tokenizer, prompt)
    begin = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
    return begin + encode_text(tokenizer, prompt)


def _ends(model: Module, tokenizer: PreTrainedTokenizerBase) -> set[int | None]:
    """The tokens that end a text or a turn."""
    told = getattr(getattr(model, "generation_config", None), "eos_token_id", None)
    return {tokenizer.eos_token_id, *(told if isinstance(told, list) else [told])} - {None}


def _draw(model: Module, prompt_ids: list[int], sampling: Sampling) -> Iterator[int]:
    """One token after another, without end."""
    generator = torch.Generator().manual_seed(sampling.seed)
    ids, step = list(prompt_ids), prompt_ids
    state: dict[str, object] = {}
    while True:
        with torch.inference_mode():
            output = model(input_ids=torch.tensor([step], device=model.device), **state, use_cache=True)
        token = _choose(output.logits[0, -1].float().cpu(), sampling, generator)
        yield token
        ids.append(token)
        cache = getattr(output, "past_key_values", None)
        # A model without such a cache reads everything again.
        step, state = (ids, {}) if cache is None else ([token], {"past_key_values": cache})


class _Text:
    """The text of tokens that come one by one, up to a stop text; each token is decoded with only a few before it.

    Settled is what no later token changes: an unfinished UTF-8 sequence decodes to a replacement sign.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, stops: tuple[str, ...]) -> None:
        self._tokenizer, self._stops = tokenizer, stops
        # Where decoding tidies spaces, every token may change the text before it.
        self._is_tidied = bool(getattr(tokenizer, "clean_up_tokenization_spaces", False))
        self._ids: list[int] = []
        self._from = self._to = 0
        self._settled, self._shown = "", 0
        self.whole = ""

    def add(self, token: int) -> bool:
        """The next token; whether a stop text is complete with it, which the text then ends before."""
        self._ids.append(token)
        before = self._decoded(self._ids[self._from : self._to])
        new = self._decoded(self._ids[self._from :])[len(before) :]
        unsearched = max(0, len(self._settled) - max(map(len, self._stops), default=0))
        self.whole = self._settled + new
        if not new.endswith(_UNFINISHED):
            self._settled = self.whole
            self._from, self._to = (0 if self._is_tidied else self._to), len(self._ids)
        ends = [place for stop in self._stops if (place := self.whole.find(stop, unsearched)) >= 0]
        self.whole = self.whole[: min(ends, default=len(self.whole))]
        return bool(ends)

    def take(self) -> str:
        """What is settled and was not taken yet, but for what may be the beginning of a stop text."""
        begun = (n for stop in self._stops for n in range(1, len(stop)) if self._settled.endswith(stop[:n]))
        ready = max(self._shown, len(self._settled) - max(begun, default=0))
        taken, self._shown = self._settled[self._shown : ready], ready
        return taken

    def rest(self) -> str:
        """What was not taken yet, once no more tokens come."""
        return self.whole[self._shown :]

    def _decoded(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, skip_special_tokens=True)) if ids else ""


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
