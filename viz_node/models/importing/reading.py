"""A stranger's adapter folder, read as far as that goes without a model: configuration, matrices, conversion."""

import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path

from viz_node.domain.importing import AdapterInspected
from viz_node.models.importing.convert import Conversion, plan_conversion
from viz_node.models.importing.folder import opened
from viz_node.models.importing.peft_config import ForeignConfig, parse_peft_config
from viz_node.models.importing.weights import Pair, check_values, read_pairs

_MOST_NAMED = 50
_LONGEST_NAME = 100


@dataclass(frozen=True)
class ForeignAdapter:
    """A folder whose two files are plain LoRA and belong together; `weights` is open for as long as the block lasts.

    `idle` layers have updates of zero; `digest` is the SHA-256 of the weights file.
    """

    raw_config: bytes
    config: ForeignConfig
    weights: BufferedReader
    pairs: Mapping[str, Pair]
    conversion: Conversion
    idle: int
    digest: str
    ignored: tuple[str, ...]


@contextmanager
def read_foreign(directory: Path) -> Iterator[ForeignAdapter]:
    """Everything that can be refused without the base model is refused here. Raises: VerificationError."""
    with opened(directory) as folder:
        config = parse_peft_config(folder.config)
        pairs = read_pairs(folder.weights, folder.weights_size)
        conversion = plan_conversion(config, pairs)
        idle = check_values(folder.weights, pairs)
        folder.weights.seek(0)
        digest = hashlib.file_digest(folder.weights, "sha256").hexdigest()
        yield ForeignAdapter(folder.config, config, folder.weights, pairs, conversion, idle, digest, folder.ignored)


def inspect(directory: Path) -> AdapterInspected:
    """What the folder holds. Raises: VerificationError."""
    with read_foreign(directory) as found:
        shapes = [matrix.shape for pair in found.pairs.values() for matrix in (pair.a, pair.b)]
        kinds = {re.sub(r"^.*?\.[0-9]+\.", "", path) for path in found.pairs}
        return AdapterInspected(
            weights_digest=found.digest,
            base_name=found.config.base_name,
            revision=found.config.revision,
            rank=found.conversion.rank,
            alpha=found.conversion.alpha,
            layers=len(found.pairs),
            kinds=tuple(sorted(kinds))[:_MOST_NAMED],
            parameters=sum(rows * columns for rows, columns in shapes),
            steps=found.conversion.steps,
            notes=notes_of(found),
            ignored=tuple(_readable(name) for name in found.ignored[:_MOST_NAMED]),
        )


def notes_of(found: ForeignAdapter) -> tuple[str, ...]:
    """What a person should know about it, one sentence each."""
    return (f"{found.idle} of {len(found.pairs)} layers have updates of zero",) if found.idle else ()


def _readable(name: str) -> str:
    text = "".join(sign if sign.isprintable() else "\ufffd" for sign in name)
    return text if len(text) <= _LONGEST_NAME else f"{text[:_LONGEST_NAME]}…"
