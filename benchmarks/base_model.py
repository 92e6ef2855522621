"""Base models that benchmarks need, built once into build/benchmarks.

The small one is what `viz-node base build` makes. The wide one has 98 million weights that were hardly trained: its
speed is that of a useful model of this size, its text is not.
"""

import sys
from pathlib import Path

import msgspec
from report import CACHE

from viz_node.domain.recipe import BaseRecipe

WIDE = {
    "name": "wide",
    "vocabulary": 8192,
    "hidden_size": 768,
    "intermediate_size": 2048,
    "layers": 12,
    "heads": 12,
    "key_value_heads": 4,
    "steps": 1,
    "batch": 1,
}


def small_base() -> Path:
    """The folder of the small base model; takes a minute or two the first time."""
    return _built("viz-base-small-0", {})


def wide_base() -> Path:
    """The folder of the wide base model."""
    return _built("wide-0", WIDE)


def _built(name: str, recipe: dict[str, str | int]) -> Path:
    target = CACHE / "bases" / name
    if not target.exists():
        from viz_node.models.base_builder import build_base

        print(f"building the base model {name}, once, into {target}", file=sys.stderr)
        target.parent.mkdir(parents=True, exist_ok=True)
        build_base(target, 0, msgspec.convert(recipe, BaseRecipe), lambda _: None)
    return target
