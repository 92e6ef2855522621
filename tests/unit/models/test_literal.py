"""Texts and prompts on the built-in tokenizer's kind and on others with marks that hubs' models bring."""

import itertools
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from viz_node.models.base_text import write_paragraphs
from viz_node.models.literal import encode_text, encode_texts

MARKS = ("<s>", "</s>", "<pad>", "<|endoftext|>", "<|im_start|>", "<|file_sep|>", "<think>", "<tool_call>", "  ")
STRIKE = "Now only <s>12</s> 9 coins, said the keeper.\n\nHe lit the lamp."


def built_in() -> Any:
    """The kind that the small base model has: byte-level BPE with three marks."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=600, special_tokens=["<pad>", "<s>", "</s>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    tokenizer.train_from_iterator(itertools.islice(write_paragraphs(0), 50), trainer)
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", bos_token="<s>", eos_token="</s>")


def chatty() -> Any:
    """With added marks: special ones, others that are not called so, and a run of spaces."""
    tokenizer = built_in()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|endoftext|>", "<|im_start|>"]})
    plain = [AddedToken(mark, special=False, normalized=False) for mark in ("<think>", "<tool_call>", "  ")]
    tokenizer.add_tokens([AddedToken("<|file_sep|>", special=True), *plain])
    return tokenizer


def scored() -> Any:
    """A vocabulary with scores: its marks are the likeliest pieces, and wide letters are folded to narrow ones."""
    letters = [(letter, -9.0) for letter in "abcdefghijklmnopqrstuvwxyz </>1290.,NHdk\n"]
    tokenizer = Tokenizer(models.Unigram([("<unk>", 0.0), ("<s>", 0.0), ("</s>", 0.0), *letters], unk_id=0))
    tokenizer.normalizer = normalizers.NFKC()
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="<unk>", bos_token="<s>", eos_token="</s>", pad_token="</s>"
    )


TOKENIZERS = {"built-in": built_in(), "chatty": chatty(), "scored": scored()}


@pytest.mark.parametrize("name", TOKENIZERS)
def test_encode_text__marks_in_a_text__are_characters(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    ids = encode_text(tokenizer, STRIKE)
    assert not {tokenizer.bos_token_id, tokenizer.eos_token_id} & set(ids)
    assert "".join(tokenizer.convert_ids_to_tokens(ids)).replace("Ġ", " ").replace("Ċ", "\n") == STRIKE


@given(
    st.sampled_from(sorted(TOKENIZERS)), st.lists(st.sampled_from([*MARKS, "<", "s>", "a", " ", "＜s＞", "<s", "ä"]))
)
def test_encode_text__any_row_of_marks__never_a_control_token(name: str, parts: list[str]) -> None:
    tokenizer = TOKENIZERS[name]
    control = {tokenizer.convert_tokens_to_ids(mark) for mark in MARKS[:-1]} - {None, tokenizer.unk_token_id}
    text = "".join(parts)
    ids = encode_text(tokenizer, text)
    assert not control & set(ids)
    if name != "scored":
        assert tokenizer.decode(ids) == text


@pytest.mark.parametrize("name", TOKENIZERS)
def test_encode_texts__ordinary_texts__ids_as_ever(name: str) -> None:
    tokenizer = TOKENIZERS[name]
    texts = [*itertools.islice(write_paragraphs(7), 20), "a < b, c > d  and <b>bold</b> s>", "grün\n\n日本"]
    assert encode_texts(tokenizer, texts) == [tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
