"""Token ids of what people wrote: no control token comes out of a text, whatever is written in it; knows no torch."""

from collections.abc import Sequence
from typing import Any


def encode_text(tokenizer: Any, text: str) -> list[int]:
    """The ids of a text or prompt, without begin and end; `<s>` in it is three characters.

    `split_special_tokens` alone is not enough: it ignores added tokens that are not marked special (`<think>`), and a
    vocabulary with scores may hold `</s>` as an ordinary piece. Texts without such marks get the ids that they always
    got.
    """
    return _encode(tokenizer, text, _control_ids(tokenizer))


def encode_texts(tokenizer: Any, texts: Sequence[str]) -> list[list[int]]:
    """`encode_text` of each."""
    control = _control_ids(tokenizer)
    return [_encode(tokenizer, text, control) for text in texts]


def _encode(tokenizer: Any, text: str, control: frozenset[int]) -> list[int]:
    encoded = tokenizer(text, add_special_tokens=False, split_special_tokens=True)
    ids = list(encoded["input_ids"])
    if control.isdisjoint(ids):
        return ids
    if not tokenizer.is_fast:
        return [token for token in ids if token not in control]
    result: list[int] = []
    for place, token in enumerate(ids):
        if token not in control:
            result.append(token)
            continue
        # Cut apart, the mark is no mark any more.
        start, end = encoded.encodings[0].offsets[place]
        if end - start > 1:
            result += _encode(tokenizer, text[start : start + 1], control)
            result += _encode(tokenizer, text[start + 1 : end], control)
    return result


def _control_ids(tokenizer: Any) -> frozenset[int]:
    """Special and added tokens but white space, and but the one that stands for an unknown character."""
    marks = {number for number, token in tokenizer.added_tokens_decoder.items() if not token.content.isspace()}
    borders = {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id}
    return frozenset((marks | set(tokenizer.all_special_ids)) - ({tokenizer.unk_token_id} - borders))
