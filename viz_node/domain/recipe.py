"""Training recipes: what may be chosen, within which bounds; checked before anything is queued."""

import hashlib
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from typing import Any

import msgspec

from viz_node.errors import UsageError

HINT = "viz-node config example small prints a recipe"
# What a training has of itself where its recipe says nothing else.
DEFAULT_RECIPE = {"rank": 16, "alpha": 32, "epochs": 3, "seed": 1}
# A rate of 0.02 is the highest that any measured training gained from; far above it, training diverges.
MAX_LEARNING_RATE = 0.1
RANGES = {
    "rank": (1, 256),
    "alpha": (1, 1024),
    "epochs": (1, 1000),
    "batch_documents": (1, 1024),
    "max_tokens": (8, 32768),
    "seed": (0, 2**53),
    "goldfish": (0, 1000),
    "evaluations": (1, 1000),
    "patience": (0, 1000),
    "tokens_at_once": (64, 2**20),
    "warmup_percent": (0, 100),
}
CHOICES = {
    "schedule": ("cosine", "linear", "constant"),
    "optimizer": ("adamw", "adamw8bit", "paged_adamw8bit"),
}
SWITCHES = ("rslora", "dora", "checkpointing")
MAX_DROPOUT = 0.9
MAX_ALPHA = RANGES["alpha"][1]
_LAYER = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,39}(?:\.[A-Za-z0-9_]{1,40}){0,9}")
_MOST_LAYERS = 64
# Part of every digest; a later field is in it only where it is not the default, so that recipes keep their digest.
_FIRST_FIELDS = {"rank", "alpha", "learning_rate", "epochs", "batch_documents", "max_tokens", "seed", "goldfish"}


@dataclass(frozen=True)
class Recipe:
    """How to train: `batch_documents` per step, documents cut at `max_tokens`, `goldfish` k drops 1 token in k.

    The held-out loss is measured up to `evaluations` times, and the best weights are kept; after `patience` evaluations
    without a better one the training ends (0: never early). `targets` are ends of layers' names, none for every layer.
    A step is computed in parts of at most `tokens_at_once` tokens, or of one document, whose gradients add up.
    Raises: UsageError (out of range).
    """

    rank: int = 8
    alpha: int = 16
    learning_rate: float = 2e-3
    epochs: int = 3
    batch_documents: int = 4
    max_tokens: int = 256
    seed: int = 0
    goldfish: int = 0
    evaluations: int = 20
    patience: int = 5
    dropout: float = 0.0
    rslora: bool = False
    dora: bool = False
    targets: tuple[str, ...] = ()
    checkpointing: bool = False
    tokens_at_once: int = 4096
    warmup_percent: int = 5
    schedule: str = "cosine"
    optimizer: str = "adamw"

    def __post_init__(self) -> None:
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if type(value) is not int or not low <= value <= high:
                raise UsageError(f"recipe: {name} must be a whole number from {low} to {high}", HINT)
        rate = self.learning_rate
        # `not 0 < rate` refuses NaN as well.
        if type(rate) not in (int, float) or not 0 < rate <= MAX_LEARNING_RATE:
            raise UsageError(f"recipe: learning_rate must be a number above 0 and at most {MAX_LEARNING_RATE}", HINT)
        if self.goldfish == 1:
            raise UsageError("recipe: goldfish 1 would drop every token", "use 0 (off), or 2 and more")
        for name, choices in CHOICES.items():
            if getattr(self, name) not in choices:
                raise UsageError(f"recipe: {name} must be one of {', '.join(choices)}", HINT)
        for name in SWITCHES:
            if type(getattr(self, name)) is not bool:
                raise UsageError(f"recipe: {name} must be true or false", HINT)
        if type(self.dropout) not in (int, float) or not 0 <= self.dropout <= MAX_DROPOUT:
            raise UsageError(f"recipe: dropout must be a number from 0 to {MAX_DROPOUT}", HINT)
        self._check_targets()
        self._check_scale()

    def unusual(self) -> dict[str, object]:
        """Of the values that the first recipes did not have, those that are not the default."""
        defaults = {field.name: field.default for field in fields(self) if field.name not in _FIRST_FIELDS}
        return {name: getattr(self, name) for name, usual in defaults.items() if getattr(self, name) != usual}

    @property
    def written_alpha(self) -> int:
        """The alpha of a file that scales by alpha / rank: rsLoRA scales by alpha / sqrt(rank) (Kalajdzievski 2023)."""
        return self.alpha * math.isqrt(self.rank) if self.rslora else self.alpha

    def _check_targets(self) -> None:
        names = self.targets
        if not isinstance(names, tuple) or len(names) > _MOST_LAYERS:
            raise UsageError(f"recipe: targets must be a list of at most {_MOST_LAYERS} names", 'targets = ["q_proj"]')
        if not all(isinstance(name, str) and _LAYER.fullmatch(name) for name in names) or len(set(names)) < len(names):
            raise UsageError("recipe: targets must be different names of layers", 'targets = ["q_proj", "v_proj"]')

    def _check_scale(self) -> None:
        """An adapter's file states alpha as a whole number; rsLoRA's must be one, so that every reader scales alike."""
        if self.rslora and math.isqrt(self.rank) ** 2 != self.rank:
            raise UsageError(f"recipe: rslora needs a rank that is a square, not {self.rank}", "rank = 16, 64 or 256")
        if self.written_alpha > MAX_ALPHA:
            most = MAX_ALPHA // math.isqrt(self.rank)
            raise UsageError(f"recipe: with rslora and rank {self.rank}, alpha is at most {most}", f"alpha = {most}")

    def digest(self) -> str:
        """SHA-256 over what was chosen; a checkpoint of another recipe is not resumed."""
        chosen = {name: value for name, value in asdict(self).items() if name in _FIRST_FIELDS} | self.unusual()
        return hashlib.sha256(repr(sorted(chosen.items())).encode()).hexdigest()


class BaseRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Sizes and training of the synthetic base model that a node builds."""

    name: str = "viz-base-small"
    vocabulary: int = 1024
    hidden_size: int = 192
    intermediate_size: int = 512
    layers: int = 4
    heads: int = 6
    key_value_heads: int = 2
    context: int = 1024
    steps: int = 200
    batch: int = 8
    sequence: int = 128
    learning_rate: float = 3e-3
    matrix_rate: float = 0.02


def parse_recipe(body: object) -> Recipe:
    """A recipe from a file, an order or a peer; missing values take the defaults. Raises: UsageError."""
    if body is not None and not isinstance(body, Mapping):
        raise UsageError("recipe: not a table of names and values", HINT)
    values: dict[str, Any] = {str(name): value for name, value in (body or {}).items()}
    known = {field.name for field in fields(Recipe)}
    unknown = sorted(set(values) - known)
    if unknown:
        likely = get_close_matches(unknown[0], known, 1)
        meant = f"; did you mean {likely[0]}?" if likely else ""
        raise UsageError(f"recipe: unknown {', '.join(unknown)[:200]}{meant}", HINT)
    if isinstance(values.get("targets"), list):
        values["targets"] = tuple(values["targets"])
    return Recipe(**values)
