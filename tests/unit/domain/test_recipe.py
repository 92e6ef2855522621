"""Recipes are refused before anything is queued."""

from dataclasses import asdict
from datetime import date
from typing import Any

import pytest

from viz_node.domain.recipe import RANGES, Recipe, parse_recipe
from viz_node.errors import UsageError


def test_parse_recipe__missing_values__defaults() -> None:
    assert parse_recipe({"rank": 4}).alpha == Recipe().alpha
    assert parse_recipe(None) == parse_recipe({})


@pytest.mark.parametrize(
    ("body", "cause"),
    [
        *(
            ({name: value}, name)
            for name, (low, high) in RANGES.items()
            for value in (low - 1, high + 1, "8", 8.0, True)
        ),
        *(
            ({"learning_rate": rate}, "learning_rate")
            for rate in (0, -1, 0.2, float("nan"), float("inf"), "1e-3", True)
        ),
        ({"goldfish": 1}, "drop every token"),
        ({"learning_rat": 1e-3}, "did you mean learning_rate"),
        ({"nonsense": 1, "rank": 8}, "unknown nonsense"),
        ({"seed": date(2026, 1, 1)}, "seed"),
        ([("rank", 8)], "not a table"),
    ],
)
def test_parse_recipe__wrong__cause_and_an_example(body: Any, cause: str) -> None:
    with pytest.raises(UsageError, match=cause) as caught:
        parse_recipe(body)
    assert caught.value.hint


def test_parse_recipe__bounds__are_taken() -> None:
    for place in (0, 1):
        body = {name: bounds[place] for name, bounds in RANGES.items()} | {"learning_rate": 0.1}
        assert asdict(parse_recipe(body)) == body
