"""Checkpoints of trainings: one file of tensors and metadata, replaced as a whole."""

import os
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from viz_node.errors import StorageError, disk_full


def write_checkpoint(target: Path, tensors: dict[str, Tensor], metadata: Mapping[str, str]) -> None:
    """Replace the file: after a kill it is the old one or the new one. Raises: StorageError."""
    partial = target.with_suffix(".partial")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        save_file(tensors, partial, metadata=dict(metadata))
        with partial.open("rb") as file:
            os.fsync(file.fileno())
        partial.replace(target)
    except (OSError, SafetensorError) as error:
        partial.unlink(missing_ok=True)
        told = f"cannot write the checkpoint: {error}"
        raise disk_full(error) or StorageError(told, "free some disk space") from error
