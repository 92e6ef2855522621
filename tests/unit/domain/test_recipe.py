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
        ({"dropout": 1}, "dropout"),
        ({"dropout": float("nan")}, "dropout"),
        ({"dora": 1}, "dora must be true or false"),
        ({"schedule": ["cosine"]}, "schedule must be one of cosine"),
        ({"optimizer": "sgd"}, "optimizer must be one of adamw"),
        ({"targets": "q_proj"}, "targets must be a list"),
        ({"targets": ["q_proj", "q_proj"]}, "different names"),
        ({"targets": [["q_proj"]]}, "names of layers"),
        ({"targets": [".*"]}, "names of layers"),
        ({"rslora": True, "rank": 8}, "a rank that is a square"),
        ({"rslora": True, "rank": 256, "alpha": 65}, "alpha is at most 64"),
    ],
)
def test_parse_recipe__wrong__cause_and_an_example(body: Any, cause: str) -> None:
    with pytest.raises(UsageError, match=cause) as caught:
        parse_recipe(body)
    assert caught.value.hint


def test_parse_recipe__bounds__are_taken() -> None:
    for place in (0, 1):
        body = {name: bounds[place] for name, bounds in RANGES.items()} | {"learning_rate": 0.1}
        assert asdict(parse_recipe(body)) == asdict(Recipe()) | body


def test_digest__of_a_recipe_that_earlier_versions_had__is_theirs() -> None:
    assert Recipe().digest() == "32df2dbeafbaf9b5015b3008b0e154ebfec1ed935619358ec0b0ed8cea92b1d7"
    changed = [Recipe(dropout=0.1), Recipe(dora=True), Recipe(targets=("q_proj",)), Recipe(schedule="linear")]
    assert len({recipe.digest() for recipe in (Recipe(), *changed)}) == 5


def test_written_alpha__rank_stabilized__scales_alike_in_whole_numbers() -> None:
    recipe = Recipe(rank=16, alpha=8, rslora=True)
    assert recipe.written_alpha / recipe.rank == recipe.alpha / 16**0.5
