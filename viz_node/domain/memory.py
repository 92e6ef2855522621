"""How much memory a training takes, and which recipe fits into how much: estimates from sizes alone.

The factors are those of the passes in `viz_node/models/fused.py` and of transformers with PEFT, in numbers kept for the
way back per token and block. They were measured on a Llama-like base; `train` states its peak beside the estimate.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace

from viz_node.domain.recipe import RANGES, Recipe

MIB = 2**20
# NF4 with double quantization takes 4.127 bits per weight (Dettmers et al. 2023).
_BYTES_PER_QUANTIZED_WEIGHT = 0.52
# The libraries in memory: a process on the CPU, a context of CUDA.
_LIBRARIES_BYTES = {False: 480 * MIB, True: 600 * MIB}
_HEAD_ROWS = 512
_STATE_BYTES = {"adamw": 8.0, "adamw8bit": 2.1, "paged_adamw8bit": 0.0}
_FUSED_FAMILIES = frozenset(("llama", "mistral", "qwen2", "qwen3", "smollm3", "olmo2"))
# Measured peaks differ by up to 7 % from these sums.
_MARGIN = 1.1
_LEAST_TOKENS = 128
_LEAST_RANK = 4
_NAMES = {
    "hidden": ("hidden_size", "n_embd", "d_model"),
    "inner": ("intermediate_size", "n_inner", "ffn_dim", "ffn_hidden_size", "d_ff"),
    "blocks": ("num_hidden_layers", "n_layer", "n_layers", "num_layers"),
    "vocabulary": ("vocab_size",),
    "context": ("max_position_embeddings", "n_positions", "max_seq_len"),
}


@dataclass(frozen=True)
class ModelSizes:
    """A base model: its weights in all, the widths of its blocks and between them, and the tokens it reads at once."""

    family: str
    weights: int
    hidden: int
    inner: int
    blocks: int
    vocabulary: int
    context: int

    @property
    def unquantized(self) -> int:
        """The weights that stay as they are: embeddings and head."""
        return min(self.weights, self.vocabulary * self.hidden * 2)


@dataclass(frozen=True)
class Room:
    """Where a training may compute: on a GPU of CUDA, or on the CPU, with so many bytes free."""

    is_gpu: bool
    free_bytes: int


def parse_sizes(config: Mapping[str, object], weights: int) -> ModelSizes:
    """The sizes that a `config.json` states, with the usual values for what it does not; all are bounded."""
    inside = config.get("text_config")
    known = {**config, **inside} if isinstance(inside, Mapping) else dict(config)
    found = {name: _first(known, keys) for name, keys in _NAMES.items()}
    hidden = found["hidden"] or 1024
    return ModelSizes(
        family=str(config.get("model_type", "")),
        weights=weights,
        hidden=hidden,
        inner=(found["inner"] or 4 * hidden) * max(1, _first(known, ("num_experts_per_tok",))),
        blocks=found["blocks"] or 32,
        vocabulary=found["vocabulary"] or 65_536,
        context=found["context"] or RANGES["max_tokens"][1],
    )


def estimate_memory(sizes: ModelSizes, recipe: Recipe, is_gpu: bool, step_tokens: int | None = None) -> int:
    """Bytes that a training takes at most; `step_tokens` are those of the longest step, where its texts are known."""
    item = 2 if is_gpu else 4
    step = recipe.batch_documents * recipe.max_tokens if step_tokens is None else step_tokens
    tokens = min(step, max(recipe.tokens_at_once, recipe.max_tokens))
    quantized = sizes.weights - sizes.unquantized
    base = quantized * _BYTES_PER_QUANTIZED_WEIGHT + sizes.unquantized * item
    is_fused = sizes.family in _FUSED_FAMILIES and not (recipe.dropout or recipe.dora or recipe.targets)
    widths = (13 * sizes.hidden + 4 * sizes.inner) if is_fused else (20 * sizes.hidden + 6 * sizes.inner)
    block = widths * item * (1.25 if recipe.dora else 1.0)
    kept = sizes.hidden * item * sizes.blocks + 3 * block if recipe.checkpointing else block * sizes.blocks
    head = 2.0 * _HEAD_ROWS * sizes.vocabulary * 4 if is_fused else 4.0 * tokens * sizes.vocabulary * 4
    # Value, gradient, the best ones so far, and what a checkpoint copies, beside the optimizer's two moments.
    adapter = _adapter_weights(sizes, recipe.rank) * (16 + 2 * _STATE_BYTES[recipe.optimizer])
    return int(_LIBRARIES_BYTES[is_gpu] + base + _MARGIN * (adapter + tokens * kept + head))


def fitting_recipe(sizes: ModelSizes, recipe: Recipe, room: Room, step_tokens: int | None = None) -> Recipe | None:
    """The recipe, or the nearest to it that fits; None if this base model does not fit whatever the recipe is."""
    for wanted in _smaller_and_smaller(recipe):
        tokens = None if step_tokens is None else min(step_tokens, wanted.batch_documents * wanted.max_tokens)
        if estimate_memory(sizes, wanted, room.is_gpu, tokens) <= room.free_bytes:
            return wanted
    return None


def changed_values(before: Recipe, after: Recipe) -> str:
    """The lines of a recipe by which `after` differs, on one line."""
    return ", ".join(
        f"{field.name} = {toml_value(getattr(after, field.name))}"
        for field in fields(Recipe)
        if getattr(after, field.name) != getattr(before, field.name)
    )


def toml_value(value: object) -> str:
    """A value of a recipe as TOML has it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, tuple):
        return "[" + ", ".join(f'"{name}"' for name in value) + "]"
    return f'"{value}"' if isinstance(value, str) else f"{value:g}" if isinstance(value, float) else str(value)


def suggest_recipe(sizes: ModelSizes, room: Room) -> Recipe | None:
    """A recipe for this base model and this room, or None if it does not fit.

    Learning rates fall with size: 2e-4 up to 13 billion weights and 1e-4 above as in QLoRA (Dettmers et al. 2023,
    table 9), and higher below a billion, as measured on the base of this package.
    """
    size = sizes.weights
    rate = 2e-3 if size < 5e7 else 5e-4 if size < 1e9 else 2e-4 if size <= 13e9 else 1e-4
    tokens = min(sizes.context, 1024 if room.is_gpu else 256)
    wanted = Recipe(
        rank=16,
        alpha=32,
        learning_rate=rate,
        batch_documents=8 if room.is_gpu else 4,
        max_tokens=max(RANGES["max_tokens"][0], tokens),
        seed=1,
    )
    return fitting_recipe(sizes, wanted, room)


def _smaller_and_smaller(recipe: Recipe) -> Iterator[Recipe]:
    """From the recipe to ever less memory, first by what changes no result, last by the rank."""
    yield recipe
    part = recipe.tokens_at_once
    while part > max(recipe.max_tokens, RANGES["tokens_at_once"][0]):
        part = max(part // 2, recipe.max_tokens, RANGES["tokens_at_once"][0])
        recipe = replace(recipe, tokens_at_once=part)
        yield recipe
    if not recipe.checkpointing:
        recipe = replace(recipe, checkpointing=True)
        yield recipe
    if recipe.optimizer == "adamw":
        recipe = replace(recipe, optimizer="adamw8bit")
        yield recipe
    while recipe.max_tokens > _LEAST_TOKENS:
        size = max(_LEAST_TOKENS, recipe.max_tokens // 2)
        recipe = replace(recipe, max_tokens=size, tokens_at_once=max(size, RANGES["tokens_at_once"][0]))
        yield recipe
    while recipe.rank > _LEAST_RANK and not recipe.rslora:
        rank = max(_LEAST_RANK, recipe.rank // 2)
        recipe = replace(recipe, rank=rank, alpha=max(1, recipe.alpha * rank // recipe.rank))
        yield recipe


def _adapter_weights(sizes: ModelSizes, rank: int) -> int:
    """Of adapters on every layer: four matrices of the attention, and three of the rest."""
    return rank * sizes.blocks * (8 * sizes.hidden + 3 * (sizes.hidden + sizes.inner))


def _first(known: Mapping[str, object], keys: tuple[str, ...]) -> int:
    """The first of these that is a size, or 0."""
    for key in keys:
        value = known.get(key)
        if type(value) is int and 0 < value < 2**31:
            return value
    return 0
