"""From texts to documents: cleaned, nothing twice, nothing of the held-out works, each left-out word accounted for."""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

DOCUMENT_CHARACTERS = 3000
"""A document ends with the paragraph that passes this length: about 750 tokens."""

_LEAST_REPEATED = 80
"""Shorter paragraphs ("Chapter II", "'Yes,' he said.") may occur again."""

_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ufeff\ufffe\uffff\ud800-\udfff]")
_NO_WORD = re.compile(r"[\W_]+")


@dataclass(frozen=True)
class Corpus:
    """The documents to train on and to measure on, and how many characters were left out for which reason."""

    train: tuple[str, ...]
    held_out: tuple[str, ...]
    left_out: Mapping[str, int] = field(default_factory=dict)

    def characters(self) -> int:
        """Those to train on."""
        return sum(map(len, self.train))


def make_corpus(train: Sequence[str], held_out: Sequence[str], leave_out: Iterable[str] = ()) -> Corpus:
    """Documents of whole paragraphs, in the order of the texts.

    A paragraph of 80 characters or more is kept once, and not at all for training if a held-out text has it, compared
    without case, punctuation and spaces. A paragraph with a word of `leave_out` is dropped.
    """
    forbidden, left_out = {word.casefold() for word in leave_out}, Counter[str]()
    measured = [_kept(_paragraphs(text), set(), forbidden, Counter()) for text in held_out]
    seen = {key for paragraphs in measured for paragraph in paragraphs if (key := _key(paragraph))}
    trained = [_kept(_paragraphs(text), seen, forbidden, left_out) for text in train]
    return Corpus(
        tuple(document for paragraphs in trained for document in _documents(paragraphs)),
        tuple(document for paragraphs in measured for document in _documents(paragraphs)),
        dict(left_out),
    )


def clean(text: str) -> str:
    """The same text in NFC, with plain line ends, no control characters, and no space before a line end."""
    text = unicodedata.normalize("NFC", text.replace("\r\n", "\n").replace("\r", "\n"))
    return "\n".join(line.rstrip() for line in _CONTROL.sub("", text).split("\n"))


def _paragraphs(text: str) -> list[str]:
    blocks = (block.strip("\n") for block in re.split(r"\n{2,}", clean(text)))
    return [block for block in blocks if block.strip()]


def _kept(paragraphs: list[str], seen: set[str], forbidden: set[str], left_out: Counter[str]) -> list[str]:
    kept = []
    for paragraph in paragraphs:
        key = _key(paragraph)
        if key and key in seen:
            left_out["repeated"] += len(paragraph)
        elif forbidden and forbidden & set(_NO_WORD.sub(" ", paragraph.casefold()).split()):
            left_out["word"] += len(paragraph)
        else:
            kept.append(paragraph)
            if key:
                seen.add(key)
    return kept


def _key(paragraph: str) -> str:
    return _NO_WORD.sub("", paragraph.casefold()) if len(paragraph) >= _LEAST_REPEATED else ""


def _documents(paragraphs: Iterable[str]) -> Iterable[str]:
    chosen: list[str] = []
    size = 0
    for paragraph in paragraphs:
        chosen.append(paragraph)
        size += len(paragraph)
        if size > DOCUMENT_CHARACTERS:
            yield "\n\n".join(chosen)
            chosen, size = [], 0
    if chosen:
        yield "\n\n".join(chosen)
