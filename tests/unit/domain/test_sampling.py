"""How tokens are drawn: bounds that every door shares."""

import math
from typing import Any

import pytest

from viz_node.domain.sampling import Sampling
from viz_node.errors import UsageError


@pytest.mark.parametrize(
    "change",
    [
        {"temperature": -0.1},
        {"temperature": 5.1},
        {"temperature": math.nan},
        {"temperature": math.inf},
        {"top_p": 0.0},
        {"top_p": 1.1},
        {"top_p": math.nan},
        {"min_p": -0.1},
        {"min_p": math.nan},
        {"seed": -1},
        {"seed": 2**53},
        {"stop": ("",)},
        {"stop": ("x" * 201,)},
        {"stop": ("x",) * 9},
    ],
)
def test_sampling__out_of_range__is_refused(change: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Sampling(**change)


def test_sampling__at_its_bounds__is_taken() -> None:
    Sampling(temperature=0, top_p=1, min_p=0, seed=0, stop=("x" * 200,) * 8)
    Sampling(temperature=5, top_p=0.001, min_p=1, seed=2**53 - 1)
