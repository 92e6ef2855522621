"""Held-out texts: deterministic, complete, apart from the training texts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.content.datasets import split_texts
from viz_node.errors import UsageError

LONG = [f"Paragraph {number} {' '.join(str(number * k) for k in range(60))}." for number in range(60)]


def test_split_texts__many_works__whole_works_held_out() -> None:
    texts = {f"w{number}": f"Work {number} " * 30 for number in range(20)}
    train, held_out = split_texts(texts, 0.2, seed=1)
    assert len(held_out) == 4
    assert sorted(train + held_out) == sorted(text.strip() for text in texts.values())


def test_split_texts__one_book__blocks_held_out_and_all_kept() -> None:
    train, held_out = split_texts({"w": "\n\n".join(LONG)}, 0.2, seed=1)
    assert held_out
    assert sorted("\n\n".join(train + held_out).split("\n\n")) == sorted(LONG)
    share = sum(map(len, held_out)) / sum(map(len, LONG))
    assert 0.1 < share < 0.35


def test_split_texts__other_order_or_ids__same_result_other_seed__another() -> None:
    texts = [f"Work {number} " * 30 for number in range(20)]
    result = split_texts(texts, 0.2, seed=1)
    assert split_texts({str(i): text for i, text in enumerate(reversed(texts))}, 0.2, seed=1) == result
    assert split_texts(texts, 0.2, seed=2) != result


def test_split_texts__duplicates__counted_once() -> None:
    texts = [f"Work {number} " * 30 for number in range(12)]
    train, held_out = split_texts(texts + texts, 0.2, seed=1)
    assert len(train) + len(held_out) == 12


def test_split_texts__paragraph_on_both_sides__not_in_evaluation() -> None:
    refrain = "The same long paragraph stands in every single one of these works, word for word, all the time."
    texts = [f"{refrain}\n\nOwn text of work {number}. {'more ' * 20}{number}" for number in range(20)]
    train, held_out = split_texts(texts, 0.3, seed=3)
    assert all(refrain in text for text in train)
    assert not any(refrain in text for text in held_out)


def test_split_texts__one_short_paragraph__cut_at_a_space() -> None:
    train, held_out = split_texts(["one two three four five six seven eight nine ten"], 0.3, seed=0)
    assert sorted(" ".join(train + held_out).split()) == sorted(
        ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
    )


@pytest.mark.parametrize(
    ("texts", "share"), [([], 0.1), (["", " "], 0.1), (["word"], 0.1), (["a b"] * 3, 0), (["a b"], 1)]
)
def test_split_texts__too_little_or_bad_share__refused(texts: list[str], share: float) -> None:
    with pytest.raises(UsageError):
        split_texts(texts, share, seed=0)


@given(st.lists(st.text(alphabet="ab \n", max_size=60), max_size=15), st.floats(0.01, 0.99), st.integers(0, 9))
def test_split_texts__any_texts__two_parts_or_refusal(texts: list[str], share: float, seed: int) -> None:
    try:
        train, held_out = split_texts(texts, share, seed)
    except UsageError:
        return
    assert all(train)
    assert all(held_out)
    assert train == list(dict.fromkeys(train))
    assert not set(train) & {text for text in held_out if len(text) >= 80}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize(
    ("sizes", "held_out"),
    [([40, 40, 40, 40, 40], [4]), ([5, 200, 20], [2]), ([30, 200], [0]), ([2, 300], None), ([300], None)],
)
def test_split_texts__one_short_work__the_smaller_part_is_held_out_and_paragraphs_stay_whole(
    seed: int, sizes: list[int], held_out: list[int] | None
) -> None:
    paragraphs = [" ".join(f"word{number}" for _ in range(size)) for number, size in enumerate(sizes)]
    (train,), (evaluation,) = split_texts({"a": "\n\n".join(paragraphs)}, 0.1, seed)
    assert 0 < len(evaluation) < len(train) / 2
    if held_out is not None:
        assert evaluation == "\n\n".join(paragraphs[number] for number in held_out)
        assert train == "\n\n".join(text for number, text in enumerate(paragraphs) if number not in held_out)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("last", [100, 900, 1900])
def test_split_texts__a_few_blocks__no_more_than_half_is_held_out(seed: int, last: int) -> None:
    paragraphs = [f"{number} " * 260 for number in range(2, 6)] + ["x" * last]
    train, evaluation = split_texts({"a": "\n\n".join(paragraphs)}, 0.1, seed)
    assert sum(map(len, evaluation)) < sum(map(len, train))
