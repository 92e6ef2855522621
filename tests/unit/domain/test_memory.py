"""Estimates against peaks that were measured, and recipes that fit."""

import tomllib
from dataclasses import fields
from typing import Any

import pytest

from viz_node.domain.memory import (
    MIB,
    ModelSizes,
    Room,
    changed_values,
    estimate_memory,
    fitting_recipe,
    parse_sizes,
    suggest_recipe,
    toml_value,
)
from viz_node.domain.recipe import Recipe, parse_recipe

SHIPPED = ModelSizes("llama", 5_999_872, 256, 704, 6, 6144, 1024)
EIGHT_BILLION = ModelSizes("llama", 8_030_261_248, 4096, 14_336, 32, 128_256, 8192)
# The peak in MB of a process that trained two steps of full pieces on the base of this package, on one thread.
MEASURED: list[tuple[dict[str, Any], int]] = [
    ({}, 648),
    ({"batch_documents": 16}, 1113),
    ({"batch_documents": 64, "tokens_at_once": 16384}, 3013),
    ({"batch_documents": 64, "tokens_at_once": 16384, "checkpointing": True}, 1779),
    ({"batch_documents": 16, "dropout": 0.1}, 1839),
    ({"batch_documents": 16, "dropout": 0.1, "checkpointing": True}, 1372),
    ({"batch_documents": 16, "dora": True}, 2092),
]


@pytest.mark.parametrize(("values", "peak"), MEASURED)
def test_estimate_memory__measured_training__at_most_a_fifth_above_and_not_below(
    values: dict[str, Any], peak: int
) -> None:
    assert 0.99 < estimate_memory(SHIPPED, Recipe(**values), False) / MIB / peak < 1.2


@pytest.mark.parametrize("gigabytes", [8, 24, 80])
def test_suggest_recipe__eight_billion_weights__fits_the_gpu(gigabytes: int) -> None:
    room = Room(True, gigabytes * 2**30)
    recipe = suggest_recipe(EIGHT_BILLION, room)
    assert recipe is not None
    assert estimate_memory(EIGHT_BILLION, recipe, True) <= room.free_bytes
    assert recipe.learning_rate == 2e-4
    assert recipe.checkpointing == (gigabytes == 8)


def test_fitting_recipe__ever_less_memory__gives_up_what_changes_results_last() -> None:
    wanted = Recipe(rank=64, alpha=128, batch_documents=64, tokens_at_once=16384, max_tokens=512)
    found = []
    for megabytes in range(3000, 500, -25):
        recipe = fitting_recipe(SHIPPED, wanted, Room(False, megabytes * MIB))
        if recipe is None:
            break
        found.append((recipe.max_tokens, recipe.rank))
        assert estimate_memory(SHIPPED, recipe, False) <= megabytes * MIB
        if recipe.max_tokens < 512:
            assert recipe.checkpointing
    assert found == sorted(found, reverse=True)
    assert found[0] == (512, 64)
    assert fitting_recipe(SHIPPED, wanted, Room(False, 100 * MIB)) is None


def test_changed_values__toml__parses_to_the_recipe() -> None:
    recipe = Recipe(learning_rate=2e-4, checkpointing=True, targets=("q_proj",), optimizer="adamw8bit", dropout=0.1)
    lines = [f"{field.name} = {toml_value(getattr(recipe, field.name))}" for field in fields(Recipe)]
    assert parse_recipe(tomllib.loads("\n".join(lines))) == recipe
    assert changed_values(Recipe(), Recipe(rank=4)) == "rank = 4"


@pytest.mark.parametrize(
    "config", [{}, {"hidden_size": -1}, {"hidden_size": "x", "num_hidden_layers": 2**40}, {"text_config": 3}]
)
def test_parse_sizes__strange_configuration__usual_values(config: dict[str, Any]) -> None:
    sizes = parse_sizes(config, 10)
    assert (sizes.hidden, sizes.inner, sizes.blocks) == (1024, 4096, 32)
    assert estimate_memory(sizes, Recipe(), False) > 0
