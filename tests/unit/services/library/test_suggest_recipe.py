"""A suggested recipe is one that training takes, or the cause why there is none."""

import pytest

from tests.unit.services.library.test_train_adapter import Bench, bench
from viz_node.domain.answer import as_json
from viz_node.domain.memory import ModelSizes
from viz_node.domain.recipe import parse_recipe
from viz_node.errors import NotFoundError, RefusedError, UsageError
from viz_node.services.library.suggest_recipe import RecipeOperations

__all__ = ["bench"]


@pytest.fixture
def desk(bench: Bench) -> RecipeOperations:
    sizes = {"small": ModelSizes("llama", 6_000_000, 256, 704, 6, 6144, 1024)}
    large = ModelSizes("llama", 8_000_000_000, 4096, 14_336, 32, 128_256, 8192)
    return RecipeOperations(bench.shop, lambda path: sizes.get(path.name, large))


async def test_recipe_suggest__enough_memory__a_recipe_that_training_takes(desk: RecipeOperations) -> None:
    shown = await desk.recipe_suggest(memory_gb=4)
    assert (shown.base, shown.is_gpu, shown.memory_mb) == ("small", False, 4096)
    assert shown.estimated_mb < 4096
    assert parse_recipe(as_json(shown)["recipe"]) == shown.recipe
    small, large = [await desk.recipe_suggest(base="b", memory_gb=size, is_gpu=True) for size in (8, 80)]
    assert small.recipe.checkpointing
    assert not large.recipe.checkpointing


async def test_recipe_suggest__cannot_be__says_why(desk: RecipeOperations) -> None:
    with pytest.raises(RefusedError, match=r"cannot be trained in 2 GB"):
        await desk.recipe_suggest(base="b", memory_gb=2, is_gpu=True)
    with pytest.raises(NotFoundError, match="is not installed, so"):
        await desk.recipe_suggest(base=f"hf:org/model@{'c' * 40}", memory_gb=2)
    for memory in (0, -1, float("nan"), float("inf")):
        with pytest.raises(UsageError, match="a training takes"):
            await desk.recipe_suggest(memory_gb=memory)
