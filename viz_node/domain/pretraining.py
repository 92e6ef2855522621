"""How a base model is trained from scratch, and what its worker is told; knows no torch."""

import msgspec

from viz_node.domain.limits import PRETRAIN_STEPS
from viz_node.domain.names import FilePath
from viz_node.domain.sources import Source, SourceList
from viz_node.domain.worker import WorkerLine, WorkerOrder
from viz_node.errors import UsageError

RECIPE_HINT = "docs/reference/pretraining.md describes the recipe"
_RANGES = {
    "vocabulary": (512, 65_536),
    "hidden_size": (64, 4096),
    "intermediate_size": (64, 16_384),
    "layers": (1, 64),
    "heads": (1, 64),
    "key_value_heads": (1, 64),
    "context": (64, 8192),
    "batch": (1, 1024),
    "sequence": (32, 8192),
    "seed": (0, 2**53),
}


class PretrainRecipe(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A Llama of 6 million weights by default. A step takes `batch` rows of `sequence` tokens.

    The last `long_share` of the steps takes rows of `context` tokens, fewer of them. `typed_share` of the documents are
    met as people type them. Rates rise over 1 % of the steps, stay, and fall over the last `decay_share` to 2 %.
    Raises: UsageError (out of range).
    """

    vocabulary: int = 6144
    hidden_size: int = 256
    intermediate_size: int = 704
    layers: int = 6
    heads: int = 4
    key_value_heads: int = 2
    context: int = 1024
    batch: int = 8
    sequence: int = 512
    steps: int = 4000
    learning_rate: float = 3e-3
    matrix_rate: float = 0.02
    weight_decay: float = 0.01
    decay_share: float = 0.6
    long_share: float = 0.15
    typed_share: float = 0.25
    seed: int = 0

    def __post_init__(self) -> None:
        for name, (low, high) in _RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise UsageError(f"base recipe: {name} must be a whole number from {low} to {high}", RECIPE_HINT)
        PRETRAIN_STEPS.check(self.steps)
        for name in ("learning_rate", "matrix_rate"):
            if not 0 < getattr(self, name) <= 1:
                raise UsageError(f"base recipe: {name} must be above 0 and at most 1", RECIPE_HINT)
        for name in ("weight_decay", "decay_share", "long_share", "typed_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise UsageError(f"base recipe: {name} must be from 0 to 1", RECIPE_HINT)
        if self.hidden_size % (2 * self.heads) or self.heads % self.key_value_heads:
            raise UsageError(
                "base recipe: heads must divide half of hidden_size, key_value_heads must divide heads", RECIPE_HINT
            )
        if self.sequence > self.context or self.batch * self.sequence % self.context:
            raise UsageError("base recipe: context must be at least sequence and divide batch x sequence", RECIPE_HINT)

    def step_tokens(self) -> int:
        """Tokens of one step."""
        return self.batch * self.sequence

    def row_tokens(self, step: int) -> int:
        """Tokens of a row of this step."""
        return self.context if step >= self.steps * (1 - self.long_share) else self.sequence

    def rate_share(self, step: int) -> float:
        """The share of the peak rates that this step uses."""
        rising, left = (step + 1) / max(1.0, 0.01 * self.steps), (self.steps - step) / self.steps
        falling = max(0.02, left / self.decay_share) if self.decay_share else 1.0
        return min(1.0, rising, falling)


class FetchSources(WorkerOrder, frozen=True, tag="fetch_sources"):
    """Download those of these sources that have a URL to `directory`; answered by `SourcesFetched`."""

    sources: tuple[Source, ...]
    directory: FilePath


class SourcesFetched(WorkerLine, frozen=True, tag="done"):
    """All of them are there, with the digests that the list gives."""

    size_bytes: int


class Pretrain(WorkerOrder, frozen=True, tag="pretrain"):
    """Train a base from scratch, from the checkpoint if there is one; answered by `BaseReady`.

    `texts` holds the text of each source, as UTF-8 in a file named by its SHA-256.
    """

    listed: SourceList
    texts: FilePath
    recipe: PretrainRecipe
    out_dir: FilePath
    checkpoint_dir: FilePath


def parse_pretrain_recipe(body: object) -> PretrainRecipe:
    """A recipe from a file or an order; missing values take the defaults. Raises: UsageError."""
    try:
        return msgspec.convert(body or {}, PretrainRecipe)
    except msgspec.ValidationError as error:
        raise UsageError(f"base recipe: {error}", RECIPE_HINT) from error
