"""The coordinator's checkpoint: the vector after each finished round, so written that a kill leaves a whole one."""

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import msgspec
import numpy as np

from viz_node.domain.rounds import Agreement, Layout, RoundFacts
from viz_node.errors import StorageError, VerificationError
from viz_node.federation.trainer import Vector
from viz_node.federation.vectors import MAX_ELEMENTS, check_vector, vector_digest


@dataclass(frozen=True)
class Checkpoint:
    """The state after `len(rounds)` rounds."""

    agreement: Agreement
    layout: Layout
    vector: Vector
    rounds: tuple[RoundFacts, ...]
    closed: int = 0


class _Record(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What `checkpoint.json` holds; the vector lies beside it."""

    run_id: str
    terms_digest: str
    layout_digest: str
    vector_size: int
    vector_digest: str
    rounds: tuple[RoundFacts, ...]
    closed: int


def vector_path(directory: Path, round_number: int) -> Path:
    """Where the vector after that round lies."""
    return directory / f"vector-{round_number:04d}.npy"


def save_checkpoint(directory: Path, checkpoint: Checkpoint) -> None:
    """Write the vector, then the record that names its digest; older vectors are removed. Raises: StorageError."""
    number = len(checkpoint.rounds)
    record = _Record(
        checkpoint.agreement.run_id,
        checkpoint.agreement.terms_digest,
        checkpoint.layout.digest,
        checkpoint.layout.size,
        vector_digest(checkpoint.vector),
        checkpoint.rounds,
        checkpoint.closed,
    )
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        path = vector_path(directory, number)
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".vector-", delete=False) as file:
            np.save(file, checkpoint.vector, allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(path)
        with tempfile.NamedTemporaryFile(dir=directory, prefix=".record-", delete=False) as file:
            file.write(msgspec.json.format(msgspec.json.encode(record), indent=2))
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).replace(directory / "checkpoint.json")
        for old in directory.glob("vector-*.npy"):
            if old != path:
                old.unlink()
    except OSError as error:
        raise StorageError(f"the checkpoint was not written: {error}", "free disk space, then start again") from error


def load_checkpoint(directory: Path, agreement: Agreement) -> Checkpoint | None:
    """The last checkpoint, or None when there is none.

    Raises:
        VerificationError: it is damaged or of another federation.
    """
    path = directory / "checkpoint.json"
    if not path.exists():
        return None
    hint = f"remove {directory} to start the federation from its first round"
    try:
        record = msgspec.json.decode(path.read_bytes(), type=_Record)
        if (record.run_id, record.terms_digest) != (agreement.run_id, agreement.terms_digest):
            raise VerificationError("the checkpoint is of another federation or of other terms", hint)
        layout = Layout(record.layout_digest, record.vector_size)
        if not 0 < layout.size <= MAX_ELEMENTS:
            raise VerificationError("the checkpoint states an impossible size", hint)
        vector = check_vector(np.load(vector_path(directory, len(record.rounds)), allow_pickle=False), layout.size)
        if vector_digest(vector) != record.vector_digest:
            raise VerificationError("the checkpoint's vector does not have its digest", hint)
        return Checkpoint(agreement, layout, vector, record.rounds, record.closed)
    except (OSError, ValueError, msgspec.MsgspecError) as error:
        raise VerificationError(f"the checkpoint is damaged: {error}", hint) from error
