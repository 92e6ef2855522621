"""Which files of a hub's repository make a base model, chosen from their names before anything is fetched.

Only files at the top: repositories also hold the same weights again, in folders (`original/`, `onnx/`, `gguf/`), in
Mistral's own layout (`consolidated.safetensors`), in other precisions, and as pickles. No `*.bin`, `*.pt` or `*.py` is
ever fetched, so no code of a repository can run.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from viz_node.errors import VerificationError

CONFIG_NAME = "config.json"
INDEX_NAME = "model.safetensors.index.json"
_WHOLE = "model.safetensors"
_SHARD = re.compile(r"model-\d{5}-of-\d{5}\.safetensors")
_TOKENIZERS = frozenset(("tokenizer.json", "tokenizer.model", "vocab.json"))
_SMALL = frozenset(
    (
        *(CONFIG_NAME, "generation_config.json", "tokenizer_config.json", "special_tokens_map.json", "merges.txt"),
        *("chat_template.jinja", *_TOKENIZERS),
    )
)
_MOST_BYTES_OF_A_SMALL_FILE = 64 << 20
_INSTEAD = {
    ".gguf": "GGUF",
    ".onnx": "ONNX",
    ".bin": "pickles (.bin)",
    ".pt": "pickles (.pt)",
    ".pth": "pickles (.pth)",
}


@dataclass(frozen=True)
class HubFiles:
    """The small files and the weights of one base model, and how many bytes they are."""

    small: tuple[str, ...]
    weights: tuple[str, ...]
    size_bytes: int


def choose_files(sizes: Mapping[str, int], model: str) -> HubFiles:
    """The files to fetch of a repository with these names and sizes.

    Raises: VerificationError (no configuration, tokenizer or safetensors, an adapter, sizes out of range).
    """
    if "adapter_config.json" in sizes and CONFIG_NAME not in sizes:
        raise VerificationError(f"{model} is an adapter, not a base model", "use the model that it was trained on")
    small = sorted(_SMALL & set(sizes))
    if CONFIG_NAME not in small:
        raise VerificationError(f"{model} has no {CONFIG_NAME}", _seen_instead(sizes))
    if _TOKENIZERS.isdisjoint(small):
        raise VerificationError(f"{model} has no tokenizer", "use another model")
    shards = sorted(name for name in sizes if _SHARD.fullmatch(name))
    if _WHOLE in sizes:
        weights = [_WHOLE]
    elif shards and INDEX_NAME in sizes:
        weights, small = shards, [*small, INDEX_NAME]
    else:
        raise VerificationError(f"{model} has no weights as model.safetensors at its top", _seen_instead(sizes))
    if any(sizes[name] > _MOST_BYTES_OF_A_SMALL_FILE for name in small):
        raise VerificationError(f"{model} has a configuration or tokenizer of more than 64 MiB", "use another model")
    return HubFiles(tuple(small), tuple(weights), sum(sizes[name] for name in [*small, *weights]))


def check_index(directory: Path, files: HubFiles, model: str) -> None:
    """Raises: VerificationError (the index of the shards, already fetched, names others than are there)."""
    if INDEX_NAME not in files.small:
        return
    try:
        named = set(json.loads((directory / INDEX_NAME).read_bytes())["weight_map"].values())
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise VerificationError(f"{model} has a malformed {INDEX_NAME}", "use another model") from error
    if named != set(files.weights):
        raise VerificationError(f"{model} has other shards than its index names", "use another model")


def _seen_instead(sizes: Mapping[str, int]) -> str:
    """What the repository holds, as a hint at another one."""
    seen = {_INSTEAD[suffix] for name in sizes if (suffix := Path(name).suffix.lower()) in _INSTEAD}
    seen |= {f"safetensors in {name.rpartition('/')[0]}/" for name in sizes if re.search(r"/[^/]+\.safetensors$", name)}
    seen |= {"consolidated safetensors" for name in sizes if name.startswith("consolidated")}
    listed = ", ".join(sorted(seen)[:4])
    return f"it holds {listed}; use a repository with transformers' safetensors" if seen else "use another model"
