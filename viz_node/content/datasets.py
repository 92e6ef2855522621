"""Training and evaluation texts from works: deterministic, without exact duplicates on both sides."""

import hashlib
import re
from collections.abc import Mapping, Sequence

from viz_node.errors import UsageError

MIN_WORKS_TO_SPLIT_BY_WORK = 10
BLOCK_CHARACTERS = 2000
# Shorter paragraphs (headings, "Yes.") repeat by nature and give nothing away.
_MIN_LEAKING_CHARACTERS = 80


def split_texts(texts: Mapping[str, str] | Sequence[str], eval_share: float, seed: int) -> tuple[list[str], list[str]]:
    """Divide the texts of works (by work id, or a list) into training and evaluation texts; neither list is empty.

    With ten or more distinct works whole works are held out, else blocks of paragraphs of about 2000 characters, so
    that a single book can be split. About `eval_share` of the characters are held out. The choice depends on the seed
    and the texts alone, not on ids or order; no long paragraph of the evaluation stands in the training texts.

    Raises: UsageError (bad share, too little text).
    """
    if not 0 < eval_share < 1:
        raise UsageError(f"{eval_share} of the text cannot be held out", "give a share between 0 and 1, like 0.1")
    values = texts.values() if isinstance(texts, Mapping) else texts
    works = sorted({text.strip() for text in values} - {""}, key=_digest)
    by_work = len(works) >= MIN_WORKS_TO_SPLIT_BY_WORK
    groups = [[work] if by_work else _blocks(work) for work in works]
    if sum(map(len, groups)) == 1:
        return _two_parts(groups[0][0], eval_share)
    pieces = sorted({piece for group in groups for piece in group}, key=lambda piece: _rank(piece, seed))
    if len(pieces) < 2:
        raise UsageError("there is too little text to hold some out", "add more works")
    held_out = _held_out(pieces, eval_share)
    train = [text for group in groups for text in _joined_runs(group, held_out)]
    known = {paragraph for text in train for paragraph in _paragraphs(text)}
    ordered = dict.fromkeys(piece for group in groups for piece in group if piece in held_out)
    evaluation = [text for piece in ordered if (text := _without(piece, known))]
    if not train or not evaluation:
        raise UsageError("the texts repeat each other too much to hold some out", "add more different works")
    return list(dict.fromkeys(train)), evaluation


def _paragraphs(text: str) -> list[str]:
    return [paragraph for paragraph in (part.strip() for part in text.split("\n\n")) if paragraph]


def _blocks(text: str) -> list[str]:
    blocks: list[list[str]] = [[]]
    size = 0
    for paragraph in _paragraphs(text):
        if size >= BLOCK_CHARACTERS:
            blocks.append([])
            size = 0
        blocks[-1].append(paragraph)
        size += len(paragraph)
    return ["\n\n".join(block) for block in blocks]


def _two_parts(text: str, eval_share: float) -> tuple[list[str], list[str]]:
    """The larger and the smaller part of one short text, cut near the share: between paragraphs if it can be."""
    wanted, least = int(len(text) * (1 - eval_share)), len(text) * eval_share / 2
    ends = [found.start() for found in re.finditer(r"\n\n", text) if least <= found.start() <= len(text) - least]
    cut = min(ends, key=lambda end: abs(end - wanted)) if ends else text.rfind(" ", 1, max(wanted, 2))
    held_out, train = sorted((text[: max(cut, 0)].strip(), text[max(cut, 0) :].strip()), key=len)
    if not held_out:
        raise UsageError("there is too little text to hold some out", "add more works")
    return [train], [held_out]


def _held_out(ranked: list[str], eval_share: float) -> set[str]:
    wanted = eval_share * sum(map(len, ranked))
    # Of few pieces the first may be most of the text: then a smaller one is the first.
    first = next((piece for piece in ranked if len(piece) <= 2 * wanted), min(ranked, key=len))
    chosen: set[str] = set()
    size = 0
    for piece in [first, *(piece for piece in ranked if piece != first)][:-1]:
        if chosen and size + len(piece) / 2 > wanted:
            break
        chosen.add(piece)
        size += len(piece)
    return chosen


def _joined_runs(group: list[str], held_out: set[str]) -> list[str]:
    """The training pieces of one work, neighbours as one text again."""
    runs: list[list[str]] = [[]]
    for piece in group:
        if piece in held_out:
            runs.append([])
        else:
            runs[-1].append(piece)
    return ["\n\n".join(run) for run in runs if run]


def _without(piece: str, known: set[str]) -> str:
    kept = [part for part in _paragraphs(piece) if len(part) < _MIN_LEAKING_CHARACTERS or part not in known]
    return "\n\n".join(kept)


def _digest(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def _rank(text: str, seed: int) -> bytes:
    return hashlib.sha256(f"{seed}\0{text}".encode()).digest()
