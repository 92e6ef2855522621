"""Works that are nearly the same, by signatures."""

import random
import time

import pytest

from viz_node.content.passages import signature_of
from viz_node.domain.similar import SIGNATURE_SIZE, SimilarIndex, shared

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
    assert SimilarIndex({"a": ()}).most_similar(()) is None
    assert SimilarIndex({}).most_similar(signature_of(text(1))) is None


def test_pairs__copies_among_many__all_of_them_most_similar_first() -> None:
    works = {str(seed): text(seed) for seed in range(60)}
    works |= {f"{seed} copy": works[str(seed)] for seed in range(3)}
    works["9 cut"] = " ".join(works["9"].split()[:520])
    signatures = {name: signature_of(words) for name, words in works.items()}
    found = SimilarIndex(signatures).pairs()
    assert [pair[:2] for pair in found] == [("0", "0 copy"), ("1", "1 copy"), ("2", "2 copy"), ("9", "9 cut")]
    assert found[-1][2] < 1.0
    index = SimilarIndex({"9": signatures["9"], "8": signatures["8"]})
    assert index.most_similar(signatures["9 cut"]) == ("9", found[-1][2])


def test_most_similar__text_added_later__is_found_among_many_copies() -> None:
    index = SimilarIndex({f"copy {number}": signature_of(text(1)) for number in range(200)})
    index.add("other", signature_of(text(2)))
    assert index.most_similar(signature_of(text(2))) == ("other", 1.0)
    found = index.most_similar(signature_of(text(1)))
    assert found is not None
    assert found[1] == 1.0


def test_index__five_thousand_works_taken_in_one_after_another__takes_seconds() -> None:
    drawn = random.Random(1)
    signatures = {str(number): [drawn.getrandbits(32) for _ in range(SIGNATURE_SIZE)] for number in range(5000)}
    index, begun = SimilarIndex({}), time.process_time()
    for name, signature in signatures.items():
        assert index.most_similar(signature) is None
        index.add(name, signature)
    assert index.pairs() == []
    assert time.process_time() - begun < 10  # comparing each with all took over a minute
