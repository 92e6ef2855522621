"""Works that are nearly the same, by signatures."""

import random

import pytest

from viz_node.content.passages import signature_of
from viz_node.domain.similar import SIGNATURE_SIZE, most_similar, shared, similar_pairs

WORDS = [
    "lamp",
    "boat",
    "harbour",
    "sailor",
    "stone",
    "letter",
    "bridge",
    "winter",
    "merchant",
    "rope",
    "window",
    "storm",
    "builder",
    "tower",
    "bell",
    "night",
]


def text(seed: int, words: int = 600) -> str:
    drawn = random.Random(seed)
    return " ".join(drawn.choice(WORDS) for _ in range(words))


def test_signature_of__same_words_set_otherwise__is_the_same() -> None:
    one = text(1)
    assert len(signature_of(one)) == SIGNATURE_SIZE
    assert signature_of(one) == signature_of(one.upper().replace(" ", ",\n", 40))
    assert signature_of("Only four words here") == signature_of("") == ()


@pytest.mark.parametrize(("kept", "least", "most"), [(600, 1.0, 1.0), (540, 0.7, 1.0), (300, 0.2, 0.65), (0, 0.0, 0.1)])
def test_shared__part_of_a_text__is_about_that_part(kept: int, least: float, most: float) -> None:
    one = text(1)
    other = " ".join(one.split()[:kept] + text(2).split()[: 600 - kept])
    assert least <= shared(signature_of(one), signature_of(other)) <= most


def test_shared__no_signature__is_nothing() -> None:
    assert shared((), ()) == shared(signature_of(text(1)), ()) == 0.0
    assert most_similar((), {"a": ()}) is None
    assert most_similar(signature_of(text(1)), {}) is None


def test_similar_pairs__copies_among_many__all_of_them_most_similar_first() -> None:
    works = {str(seed): text(seed) for seed in range(60)}
    works |= {f"{seed} copy": works[str(seed)] for seed in range(3)}
    works["9 cut"] = " ".join(works["9"].split()[:520])
    signatures = {name: signature_of(words) for name, words in works.items()}
    found = similar_pairs(signatures)
    assert [pair[:2] for pair in found] == [("0", "0 copy"), ("1", "1 copy"), ("2", "2 copy"), ("9", "9 cut")]
    assert found[-1][2] < 1.0
    assert most_similar(signatures["9 cut"], {"9": signatures["9"], "8": signatures["8"]}) == ("9", found[-1][2])
