"""From texts to the tokenized documents that training and evaluation read."""

import re
from collections.abc import Iterator, Sequence
from itertools import groupby

from transformers import PreTrainedTokenizerBase

from viz_node.domain.conversation import Dialogue, dialogue_in
from viz_node.models.chat import encode_dialogue
from viz_node.models.fused import TokenizedDocument
from viz_node.models.literal import encode_texts
from viz_node.models.recipes import count_tokens, cut_document

CUTTING = 2
"""Which way texts are cut into documents; a run does not go on with another."""
_PARAGRAPH, _LINE, _SENTENCE, _WORD, _NONE = 4, 3, 2, 1, 0
_SENTENCE_END = re.compile(r"[.!?\u2026\u3002][\"'\u201d\u2019\u00bb)\]]*$")
# How vocabularies of bytes and of SentencePiece write a space and a line end.
_WRITTEN = str.maketrans({"\u0120": " ", "\u2581": " ", "\u010a": "\n", "\u010d": "\n"})
_LOOK_BACK = 3


def tokenize(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_tokens: int, goldfish: int = 0
) -> list[TokenizedDocument]:
    """Each text between the begin and end tokens, cut to size at ends of paragraphs, lines or sentences.

    Each piece starts with the begin token; no other control token is in it. Conversations in a text are documents of
    their own, cut at the end; of them only answers count. Raises: UsageError, VerificationError (a conversation that
    the base model cannot take).
    """
    parts = [part for text in texts for part in _parts_of(text)]
    prose = _tokenize_prose(tokenizer, [part for part in parts if isinstance(part, str)], max_tokens, goldfish)
    return prose + _tokenize_dialogues(tokenizer, [part for part in parts if not isinstance(part, str)], max_tokens)


def _parts_of(text: str) -> Iterator[str | Dialogue]:
    """Prose, and the conversations that stand in it."""
    for is_prose, group in groupby(text.split("\n\n"), key=lambda paragraph: dialogue_in(paragraph) is None):
        if is_prose:
            yield "\n\n".join(group)
        else:
            yield from (dialogue for paragraph in group if (dialogue := dialogue_in(paragraph)) is not None)


def _tokenize_dialogues(
    tokenizer: PreTrainedTokenizerBase, dialogues: Sequence[Dialogue], max_tokens: int
) -> list[TokenizedDocument]:
    encoded = [encode_dialogue(tokenizer, dialogue) for dialogue in dialogues]
    cut = [TokenizedDocument(ids[:max_tokens], counted[:max_tokens]) for ids, counted in encoded]
    return [document for document in cut if any(document.counted)]


def _tokenize_prose(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_tokens: int, goldfish: int
) -> list[TokenizedDocument]:
    begin = [tokenizer.bos_token_id] if tokenizer.bos_token_id is not None else []
    end = [tokenizer.eos_token_id] if tokenizer.eos_token_id is not None else []
    pieces = list[tuple[int, ...]]()
    for ids in encode_texts(tokenizer, [text for text in texts if text.strip()]):
        whole = begin + ids + end
        ends = [_NONE] * len(begin) + ends_of(tokenizer, ids) + [_NONE] * len(end)
        pieces += cut_document(whole, ends, max_tokens, tokenizer.bos_token_id)
    return [TokenizedDocument(piece, count_tokens(piece, goldfish)) for piece in pieces]


def ends_of(tokenizer: PreTrainedTokenizerBase, ids: Sequence[int]) -> list[int]:
    """For each token what ends with it: 4 a paragraph, 3 a line, 2 a sentence, 1 a word, 0 nothing."""
    texts = [str(token).translate(_WRITTEN) for token in tokenizer.convert_ids_to_tokens(list(ids))]
    return [
        _end_after(texts[max(0, place - _LOOK_BACK) : place + 1], texts[place + 1 : place + 2])
        for place in range(len(texts))
    ]


def _end_after(before: Sequence[str], after: Sequence[str]) -> int:
    said, following = "".join(before), "".join(after)
    if said.endswith("\n"):
        # The blank line between two paragraphs is not torn apart.
        return _NONE if following.startswith("\n") else _PARAGRAPH if said.endswith("\n\n") else _LINE
    if not following[:1].isspace():
        return _NONE
    return _SENTENCE if _SENTENCE_END.search(said) else _WORD
