"""What is learned from: cleaned, nothing twice, nothing of what is measured on."""

import random

import pytest

from viz_node.models.pretraining.as_typed import as_typed, plain_ascii
from viz_node.models.pretraining.corpus import DOCUMENT_CHARACTERS, clean, make_corpus

LONG = "The old man looked at the sea for a long time, and then he said that it would rain before the evening came."
OTHER = "In the house at the end of the road there lived a woman with three cats, a parrot and a very large garden."


def test_make_corpus__paragraph_twice__is_kept_once_and_counted() -> None:
    again = LONG.upper().replace(",", " ;")
    found = make_corpus([f"{LONG}\n\nYes.\n\n{OTHER}", f"{again}\n\nYes."], [])
    assert found.train == (f"{LONG}\n\nYes.\n\n{OTHER}", "Yes.")
    assert found.left_out == {"repeated": len(again)}


def test_make_corpus__held_out_paragraph_in_a_text_to_train_on__is_not_learned() -> None:
    found = make_corpus([f"{LONG}\n\n{OTHER}"], [LONG])
    assert found.train == (OTHER,)
    assert found.held_out == (LONG,)


def test_make_corpus__word_to_leave_out__drops_its_paragraph_only() -> None:
    found = make_corpus([f"{LONG}\n\n{OTHER}\n\nParrots."], [], ["PARROT"])
    assert found.train == (f"{LONG}\n\nParrots.",)
    assert found.left_out == {"word": len(OTHER)}


def test_make_corpus__long_text__is_cut_between_paragraphs() -> None:
    paragraphs = [f"{number}: {LONG}" for number in range(100)]
    found = make_corpus(["\n\n\n".join(paragraphs)], [])
    assert "\n\n".join(found.train) == "\n\n".join(paragraphs)
    assert all(DOCUMENT_CHARACTERS < len(text) < DOCUMENT_CHARACTERS + 200 for text in found.train[:-1])


def test_clean__line_ends_controls_and_composed_letters__are_plain() -> None:
    assert clean("a \r\nb\rc\x00\ufeffe\u0301\t\n") == "a\nb\ncé\n"


@pytest.mark.parametrize("seed", range(30))
def test_as_typed__any_shape__keeps_every_word(seed: int) -> None:
    text = f"“{LONG}”\n\nA line of verse—\nand ‘another’ line…\n\n{OTHER}"
    shaped = as_typed(text, random.Random(seed))
    words = [plain_ascii(word).strip("\"'.,-") for word in text.replace("—", " ").split()]
    found = [plain_ascii(word).strip("\"'.,-") for word in shaped.replace("—", " ").replace("--", " ").split()]
    assert [word for word in found if word] == [word for word in words if word]


def test_as_typed__thirty_seeds__gives_every_shape() -> None:
    shaped = {as_typed(f"“{LONG}—no”\n\n{OTHER}", random.Random(seed)) for seed in range(60)}
    assert any('"' in text and "\n" not in text.replace("\n\n", "") for text in shaped)
    assert any(max(map(len, text.split("\n"))) <= 80 for text in shaped)
    assert any("\n  " in text for text in shaped)
    assert any(" – " in text for text in shaped)
