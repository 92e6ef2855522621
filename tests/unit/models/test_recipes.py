"""Recipes, cutting and ordering of documents."""

import pytest

from viz_node.models.base_text import write_paragraphs
from viz_node.models.recipes import batch_order, count_tokens, cut_document, scheduled_rate


@pytest.mark.parametrize("begin", [None, -1])
@pytest.mark.parametrize("count", [0, 1, 2, 64, 65, 127, 1000])
def test_cut_document__any_length__every_token_predicted_once(count: int, begin: int | None) -> None:
    ids = list(range(count))
    pieces = cut_document(ids, [0] * count, 64, begin)
    assert all(2 <= len(piece) <= 64 for piece in pieces)
    assert [token for piece in pieces for token in piece[1:]] == ids[1:]
    assert {piece[0] for piece in pieces[1:]} <= ({begin} if begin is not None else set(ids))
    assert len(pieces) <= 1 or min(map(len, pieces)) > 20


def test_cut_document__ends_of_several_kinds__the_best_one_near_the_wanted_length() -> None:
    ends = [0] * 100
    ends[45] = ends[50] = 2
    ends[40] = 3
    ends[20] = 4
    assert [len(piece) for piece in cut_document(range(100), ends, 60, 0)] == [41, 60]
    ends[40] = 1
    assert [len(piece) for piece in cut_document(range(100), ends, 60, 0)] == [51, 50]


def test_count_tokens__goldfish__same_passage_drops_same_tokens() -> None:
    passage = [(7 * i) % 101 for i in range(200)]
    first, second = count_tokens([1, *passage], 4), count_tokens([5, 6, *passage], 4)
    assert first[20:] == second[21:]
    assert 0.15 < 1 - sum(first) / len(first) < 0.4


def test_batch_order__one_epoch__every_document_once() -> None:
    steps = batch_order(10, 4, epoch=2, seed=7)
    assert sorted(i for step in steps for i in step) == list(range(10))
    assert steps != batch_order(10, 4, epoch=3, seed=7)


def test_scheduled_rate__whole_run__warms_up_and_falls_to_a_tenth() -> None:
    rates = [scheduled_rate(step, 100, 1.0) for step in range(101)]
    assert rates[0] == 0.2
    assert max(rates) == 1.0
    assert abs(rates[100] - 0.1) < 1e-9


@pytest.mark.parametrize(
    ("schedule", "middle", "last"), [("cosine", 0.55, 0.1), ("linear", 0.55, 0.1), ("constant", 1, 1)]
)
def test_scheduled_rate__schedule_and_warmup__as_named(schedule: str, middle: float, last: float) -> None:
    rates = [scheduled_rate(step, 100, 1.0, 20, schedule) for step in range(101)]
    assert rates[:20] == [(step + 1) / 20 for step in range(20)]
    assert (round(rates[60], 3), round(rates[100], 3)) == (middle, last)
    assert scheduled_rate(0, 100, 1.0, 0, schedule) == 1.0


def test_write_paragraphs__same_seed__same_text() -> None:
    first, second = write_paragraphs(3), write_paragraphs(3)
    texts = [next(first) for _ in range(50)]
    assert texts == [next(second) for _ in range(50)]
    assert all(text.isascii() and text[-1] in '."' for text in texts)
