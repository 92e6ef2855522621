"""Texts become documents that end where the texts do, by the vocabulary of the base model of this package."""

from pathlib import Path

import pytest

pytest.importorskip("torch")

PARAGRAPH = "The old sailor repaired the boat. “Who counts the lamps?” asked the builder (nobody did). It rained!"
VERSE = "A lamp stood on the wall,\nand nobody counted it;\nthe ships went by in fall,\nand nobody mounted it.\n"


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> object:
    from viz_node.models.loading import load_tokenizer
    from viz_node.models.packed import SHIPPED, unpack

    folder = tmp_path_factory.mktemp("base") / "shipped"
    unpack(SHIPPED, Path(folder))
    return load_tokenizer(folder)


@pytest.mark.parametrize(("text", "least"), [("\n\n".join([PARAGRAPH] * 30), 4), (VERSE * 40, 3), (PARAGRAPH * 30, 2)])
def test_tokenize__long_text__cut_at_the_best_ends_and_nothing_lost(tokenizer: object, text: str, least: int) -> None:
    from viz_node.models.documents import ends_of, tokenize
    from viz_node.models.literal import encode_text

    pieces = [document.ids for document in tokenize(tokenizer, [text], 128)]  # type: ignore[arg-type]
    ids = encode_text(tokenizer, text)
    ends = ends_of(tokenizer, ids)  # type: ignore[arg-type]
    assert len(pieces) > 3
    assert {piece[0] for piece in pieces} == {tokenizer.bos_token_id}  # type: ignore[attr-defined]
    assert [token for piece in pieces for token in piece[1:]][:-1] == ids
    place = 0
    for piece in pieces[:-1]:
        place += len(piece) - 1
        assert ends[place - 1] >= least
