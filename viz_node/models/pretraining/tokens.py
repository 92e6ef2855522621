"""Tokenizer and token stream of a pre-training; both follow from the documents, the recipe and its seed alone."""

import random
from collections.abc import Iterable, Sequence
from itertools import chain

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from torch import Tensor
from transformers import PreTrainedTokenizerFast

from viz_node.models.pretraining.as_typed import as_typed

PAD, BEGIN, END = 0, 1, 2
_DOCUMENTS_AT_ONCE = 256


def train_tokenizer(
    documents: Sequence[str], vocabulary: int, typed_share: float, seed: int
) -> PreTrainedTokenizerFast:
    """A byte-level BPE of that many tokens, learned from the documents, some of them as people type."""
    return byte_level_bpe(_varied(documents, typed_share, f"{seed}:tokenizer"), vocabulary)


def byte_level_bpe(texts: Iterable[str], vocabulary: int) -> PreTrainedTokenizerFast:
    """A byte-level BPE of that many tokens, `<pad>`, `<s>` and `</s>` first, learned from the texts."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<pad>", "<s>", "</s>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>")


def encode_pass(
    tokenizer: PreTrainedTokenizerFast, documents: Sequence[str], typed_share: float, seed: int, number: int
) -> Tensor:
    """The tokens of one pass over all documents: shuffled anew, each between `<s>` and `</s>`, some as people type."""
    order = list(documents)
    random.Random(f"{seed}:{number}:order").shuffle(order)
    texts = _varied(order, typed_share, f"{seed}:{number}:typed")
    parts = [
        torch.tensor(list(chain.from_iterable([BEGIN, *ids, END] for ids in batch)), dtype=torch.int32)
        for start in range(0, len(texts), _DOCUMENTS_AT_ONCE)
        for batch in [tokenizer(texts[start : start + _DOCUMENTS_AT_ONCE], add_special_tokens=False)["input_ids"]]
    ]
    return torch.cat(parts)


def _varied(documents: Sequence[str], share: float, seed: str) -> list[str]:
    rng = random.Random(seed)
    return [as_typed(text, rng) if rng.random() < share else text for text in documents]
