"""A checkpoint on a disk without room is told as that, and leaves nothing half written."""

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import SafetensorError

from viz_node.errors import DiskFullError
from viz_node.models import checkpoints


def test_write_checkpoint__disk_full__said_so_and_the_old_one_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = tmp_path / "checkpoint.safetensors"
    checkpoints.write_checkpoint(target, {"a": torch.zeros(2)}, {})
    before = target.read_bytes()

    def fail(_tensors: Any, partial: Path, metadata: Any) -> None:
        partial.write_bytes(b"half")
        # In these words on a file system of 1 MB, as the library's only sign of it.
        raise SafetensorError("Error while serializing: I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(checkpoints, "save_file", fail)
    with pytest.raises(DiskFullError, match="the disk is full") as full:
        checkpoints.write_checkpoint(target, {"a": torch.zeros(2)}, {})
    assert "jobs resume" in full.value.hint
    assert ([path.name for path in tmp_path.iterdir()], target.read_bytes()) == ([target.name], before)
