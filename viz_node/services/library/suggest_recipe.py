"""Which recipe fits a base model and a machine."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from viz_node.domain.limits import MEMORY
from viz_node.domain.memory import MIB, ModelSizes, Room, estimate_memory, suggest_recipe
from viz_node.domain.recipe import Recipe
from viz_node.errors import NotFoundError, RefusedError
from viz_node.services.library.train_adapter import Workshop

ReadSizes = Callable[[Path], ModelSizes]


@dataclass(frozen=True)
class SuggestedRecipe:
    """A recipe for a base model of so many weights, and what training with it takes of the memory that is there."""

    base: str
    weights: int
    is_gpu: bool
    memory_mb: int
    estimated_mb: int
    recipe: Recipe


class RecipeOperations:
    """What people ask about recipes."""

    def __init__(self, workshop: Workshop, read_sizes: ReadSizes) -> None:
        self._workshop, self._read_sizes = workshop, read_sizes

    async def recipe_suggest(
        self, *, memory_gb: float, is_gpu: bool = False, base: str | None = None
    ) -> SuggestedRecipe:
        """A recipe for this base model with so much memory, of a GPU of CUDA or of the CPU."""
        MEMORY.check(memory_gb)
        chosen = self._workshop.find_base(base)
        if not chosen.path:
            once = f"train with it once: viz-node train NAME --content WORK --base {base}"
            raise NotFoundError(f"{base} is not installed, so its sizes are not known", once)
        sizes, room = self._read_sizes(Path(chosen.path)), Room(is_gpu, int(memory_gb * 2**30))
        recipe = suggest_recipe(sizes, room)
        if recipe is None:
            raise RefusedError(
                f"{chosen.name} ({sizes.weights:,} weights) cannot be trained in {memory_gb:g} GB",
                "use a smaller base model, or more memory",
            )
        estimated = estimate_memory(sizes, recipe, is_gpu)
        return SuggestedRecipe(chosen.name, sizes.weights, is_gpu, room.free_bytes // MIB, estimated // MIB, recipe)
