"""The recipe of a pre-training: its bounds, its rates and the length of its rows."""

import itertools
from typing import Any

import pytest

from viz_node.domain.pretraining import PretrainRecipe, parse_pretrain_recipe
from viz_node.errors import UsageError


@pytest.mark.parametrize(
    "body",
    [
        {"layers": 0},
        {"steps": 10**9},
        {"learning_rate": 0.0},
        {"learning_rate": float("nan")},
        {"matrix_rate": 2.0},
        {"typed_share": 1.5},
        {"decay_share": float("nan")},
        {"heads": 3},
        {"key_value_heads": 3},
        {"sequence": 2048},
        {"batch": 3},
        {"layer": 3},
        {"layers": "6"},
        [],
        "x",
    ],
)
def test_parse__out_of_range_or_unknown__is_refused(body: Any) -> None:
    if not body:
        body = [1]
    with pytest.raises(UsageError, match="base recipe"):
        parse_pretrain_recipe(body)


def test_rate_share__over_a_run__rises_stays_and_falls() -> None:
    recipe = PretrainRecipe(steps=1000, decay_share=0.6)
    shares = [recipe.rate_share(step) for step in range(1000)]
    assert shares[0] == pytest.approx(0.1)
    assert set(shares[9:401]) == {1.0}
    assert all(later < earlier for earlier, later in itertools.pairwise(shares[401:980]))
    assert shares[-1] == 0.02


def test_row_tokens__last_share__are_rows_of_the_whole_context() -> None:
    recipe = PretrainRecipe(steps=100, long_share=0.15)
    assert [recipe.row_tokens(step) for step in (0, 84, 85, 99)] == [512, 512, 1024, 1024]
    assert recipe.step_tokens() % recipe.row_tokens(99) == 0
