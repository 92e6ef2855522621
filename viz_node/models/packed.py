"""Base models at a quarter of their size: each row of a matrix as whole numbers from -127 to 127 and one scale.

For the base that comes with the package. Unpacking is exact arithmetic, so every machine gets the same bytes; knows no
torch.
"""

import json
import shutil
from pathlib import Path

import numpy as np
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from viz_node.errors import StorageError, VerificationError
from viz_node.models.bases import PROVENANCE_NAME, base_digest

SHIPPED = Path(__file__).parent / "shipped"
PACKED_NAME = "model.int8.safetensors"
WEIGHTS_NAME = "model.safetensors"
_SCALE = ".scale"


def pack(source: Path, target: Path) -> None:
    """Write the base in `source` packed to the new folder `target`; its provenance has the digest it unpacks to.

    Raises: OSError, SafetensorError.
    """
    target.mkdir(parents=True)
    packed: dict[str, np.ndarray] = {}
    for name, value in load_file(source / WEIGHTS_NAME).items():
        if value.ndim != 2:
            packed[name] = value.astype(np.float32)
            continue
        scale = np.maximum(np.abs(value).max(axis=1), 1e-12).astype(np.float32) / np.float32(127)
        packed[name] = np.clip(np.rint(value / scale[:, None]), -127, 127).astype(np.int8)
        packed[name + _SCALE] = scale
    save_file(packed, target / PACKED_NAME, metadata={"format": "pt"})
    for path in source.iterdir():
        if path.is_file() and path.name not in (WEIGHTS_NAME, PROVENANCE_NAME):
            shutil.copyfile(path, target / path.name)
    provenance = json.loads((source / PROVENANCE_NAME).read_bytes())
    trial = target / "trial"
    _expand(target, trial)
    provenance |= {"digest": base_digest(trial), "trained_digest": provenance["digest"], "packing": "int8 per row"}
    shutil.rmtree(trial)
    (target / PROVENANCE_NAME).write_text(json.dumps(provenance, indent=1, sort_keys=True) + "\n")


def unpack(source: Path, target: Path) -> None:
    """Write the packed base in `source` to the new folder `target`, in one step.

    Raises: VerificationError (it is damaged), StorageError.
    """
    partial = target.with_name(f".{target.name}.partial")
    try:
        shutil.rmtree(partial, ignore_errors=True)
        _expand(source, partial)
        provenance = json.loads((source / PROVENANCE_NAME).read_bytes())
        if base_digest(partial) != provenance["digest"]:
            raise VerificationError(
                "the packed base model is damaged: its digest is another", "install the package again"
            )
        shutil.copyfile(source / PROVENANCE_NAME, partial / PROVENANCE_NAME)
        partial.replace(target)
    except (SafetensorError, ValueError, KeyError, TypeError) as error:
        raise VerificationError(f"the packed base model is damaged: {error}", "install the package again") from error
    except OSError as error:
        raise StorageError(f"cannot write the base model: {error}", "free some disk space") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _expand(source: Path, target: Path) -> None:
    """The folder with its weights as 32-bit numbers, without provenance."""
    target.mkdir(parents=True)
    packed = load_file(source / PACKED_NAME)
    weights = {
        name: value.astype(np.float32) * packed[name + _SCALE][:, None] if value.dtype == np.int8 else value
        for name, value in packed.items()
        if not name.endswith(_SCALE)
    }
    save_file(weights, target / WEIGHTS_NAME, metadata={"format": "pt"})
    for path in source.iterdir():
        if path.is_file() and path.name not in (PACKED_NAME, PROVENANCE_NAME):
            shutil.copyfile(path, target / path.name)
