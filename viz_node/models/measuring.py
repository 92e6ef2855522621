"""What a trained adapter changed, measured beside its base model: on held-out texts, on general English, in samples."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import torch
from torch.nn import Module
from transformers import PreTrainedTokenizerBase

from viz_node.domain.conversation import dialogue_in
from viz_node.domain.report import Measured, SampleText, TextEffect
from viz_node.domain.sampling import Sampling
from viz_node.models.documents import tokenize
from viz_node.models.evaluating import evaluate
from viz_node.models.inference import generate

GENERAL_TEXT = Path(__file__).with_name("general_english.txt")
SAMPLES = 3
SAMPLE_TOKENS = 48
PROMPT_WORDS = 12
# Bounds the time on long held-out texts: the whole of them was measured while training.
MOST_TEXTS = 400


def measure(
    peft_model: Module,
    tokenizer: PreTrainedTokenizerBase,
    eval_texts: Sequence[str],
    max_tokens: int,
    tell: Callable[[int, int], None],
) -> Measured:
    """Effects on each held-out text and on general English, and samples that go on from words of held-out texts.

    `tell` takes how many of how many steps are done.
    """
    general = GENERAL_TEXT.read_text()
    texts = [*eval_texts[:MOST_TEXTS], general]
    prompts = sample_prompts(eval_texts)
    steps = len(texts) + len(prompts)
    effects = []
    for place, text in enumerate(texts):
        effects.append(_effect(peft_model, tokenizer, text, max_tokens))
        tell(place + 1, steps)
    samples = []
    for place, prompt in enumerate(prompts):
        samples.append(_sample(peft_model, tokenizer, prompt))
        tell(len(texts) + place + 1, steps)
    return Measured(tuple(effects[:-1]), effects[-1], tuple(samples))


def sample_prompts(texts: Sequence[str]) -> list[str]:
    """The first words of up to SAMPLES texts, evenly taken from all that are long enough."""
    fit = [
        text for text in texts if len(text.split()) >= 2 * PROMPT_WORDS and dialogue_in(text.split("\n\n")[0]) is None
    ]
    chosen = [fit[index * len(fit) // SAMPLES] for index in range(min(SAMPLES, len(fit)))] if fit else []
    return list(dict.fromkeys(" ".join(text.split()[:PROMPT_WORDS]) for text in chosen))


def _effect(peft_model: Module, tokenizer: PreTrainedTokenizerBase, text: str, max_tokens: int) -> TextEffect:
    documents = tokenize(tokenizer, [text], max_tokens)
    if not documents:
        return TextEffect(0, 0.0, 0.0)
    adapted, count = evaluate(peft_model, documents)
    with _base_alone(peft_model):
        alone, _ = evaluate(peft_model, documents)
    return TextEffect(count, round(alone * count, 4), round(adapted * count, 4))


def _sample(peft_model: Module, tokenizer: PreTrainedTokenizerBase, prompt: str) -> SampleText:
    adapted = _written(peft_model, tokenizer, prompt)
    with _base_alone(peft_model):
        alone = _written(peft_model, tokenizer, prompt)
    return SampleText(prompt, alone, adapted)


def _written(model: Module, tokenizer: PreTrainedTokenizerBase, prompt: str) -> str:
    return generate(model, tokenizer, prompt, SAMPLE_TOKENS, Sampling(), lambda piece: None).text


@contextmanager
def _base_alone(peft_model: Module) -> Iterator[None]:
    with torch.no_grad(), peft_model.disable_adapter():
        yield
