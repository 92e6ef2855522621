"""Installed base models: their folders, digests and provenance; knows no torch."""

import hashlib
import json
import logging
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from viz_node.domain.memory import ModelSizes, parse_sizes
from viz_node.domain.strict_json import parse_json
from viz_node.domain.training import BaseModel, InstalledBase
from viz_node.errors import NotFoundError, UsageError, VerificationError

PROVENANCE_NAME = "provenance.json"
_MAX_BASE_HEADER_BYTES = 16 * 1024 * 1024
_MAX_HEADER_DEPTH = 4
_MAX_CONFIG_DEPTH = 16
CHAT_TEMPLATE_NAME = "chat_template.jinja"
_NOT_IN_DIGEST = {PROVENANCE_NAME, CHAT_TEMPLATE_NAME}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ResolvedBase:
    """A base model on this disk whose digest was compared, when one was asked for."""

    name: str
    directory: Path
    digest: str


def base_digest(directory: Path) -> str:
    """SHA-256 over the names and digests of all plain files but the provenance and the chat template.

    The template plays no part in training or writing, and installs of earlier versions lack it. Raises: NotFoundError.
    """
    names = _file_names(directory)
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        raise NotFoundError(f"{directory} holds no base model", "install one with `viz-node base install`")
    lines = []
    for name in names:
        with (directory / name).open("rb") as file:
            lines.append(f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def list_bases(root: Path) -> list[InstalledBase]:
    """`read_base` of every base model in the folder, by name; a damaged one is logged and hides no other."""
    if not root.is_dir():
        return []
    # A hidden folder is a base model in the making.
    named = (path for path in sorted(root.iterdir()) if not path.name.startswith("."))
    folders = (path for path in named if (path / PROVENANCE_NAME).is_file())
    rows = []
    for folder in folders:
        try:
            rows.append(read_base(folder))
        except (NotFoundError, VerificationError) as error:
            _log.warning("left out of the base models: %s", error.message)
    return rows


def read_base(directory: Path) -> InstalledBase:
    """Name, path, digest, license and size of a base, from its provenance.

    Raises: NotFoundError, VerificationError.
    """
    try:
        provenance = json.loads((directory / PROVENANCE_NAME).read_bytes())
        return msgspec.convert({**provenance, "path": str(directory), "provenance": provenance}, InstalledBase)
    except OSError as error:
        raise NotFoundError(f"{directory} holds no base model", "install one with `viz-node base install`") from error
    except (ValueError, TypeError, msgspec.ValidationError) as error:
        raise VerificationError(f"{directory / PROVENANCE_NAME} is malformed: {error}") from error


def read_sizes(directory: Path) -> ModelSizes:
    """The sizes of the base model in this folder, from its configuration and the headers of its files.

    Raises: NotFoundError, VerificationError.
    """
    try:
        config = parse_json((directory / "config.json").read_bytes(), _MAX_CONFIG_DEPTH)
        headers = [read_header(directory / name) for name in _file_names(directory) if name.endswith(".safetensors")]
    except OSError as error:
        raise NotFoundError(f"{directory} holds no base model", "install one with `viz-node base install`") from error
    except ValueError as error:
        raise VerificationError(f"{directory / 'config.json'} is malformed", "install the base model again") from error
    if not isinstance(config, dict):
        raise VerificationError(f"{directory / 'config.json'} is malformed", "install the base model again")
    return parse_sizes(config, sum(math.prod(entry["shape"]) for header in headers for entry in header.values()))


def resolve_base(base: BaseModel) -> ResolvedBase:
    """Find the folder of the base model and compare the digest.

    An empty digest is accepted and computed. Raises: NotFoundError, VerificationError (another digest), UsageError.
    """
    if not base.path:
        raise UsageError("a base model needs a name, a path and a digest", "see `viz-node base list`")
    directory, wanted = Path(base.path), base.digest
    actual = base_digest(directory)
    if wanted and actual != wanted:
        raise VerificationError(
            f"base model {base.name} has digest {actual[:12]}…, not {wanted[:12]}…", "install it again"
        )
    return ResolvedBase(base.name or directory.name, directory, actual)


def read_header(path: Path) -> dict[str, Any]:
    """The tensors of a safetensors file by name, each with its `shape` in whole numbers. Raises: VerificationError."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        if length > _MAX_BASE_HEADER_BYTES:
            raise VerificationError(f"{path}: the header is too long", "install the base model again")
        try:
            header = parse_json(file.read(length), _MAX_HEADER_DEPTH)
            header.pop("__metadata__", None)
            for entry in header.values():
                if not all(type(size) is int and size >= 0 for size in entry["shape"]):
                    raise ValueError("a size is no number")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise VerificationError(f"{path}: the header is malformed", "install the base model again") from error
    return dict(header)


def template_fact(directory: Path) -> dict[str, str]:
    """What a provenance says of the chat template, which is not in the digest: its own; nothing without one."""
    template = directory / CHAT_TEMPLATE_NAME
    return {"chat_template": hashlib.sha256(template.read_bytes()).hexdigest()} if template.exists() else {}


def count_parameters(directory: Path) -> int:
    """The numbers in all safetensors files of the folder. Raises: VerificationError."""
    shapes = (entry["shape"] for path in directory.glob("*.safetensors") for entry in read_header(path).values())
    return sum(math.prod(shape) for shape in shapes)


def _file_names(directory: Path) -> list[str]:
    if not directory.is_dir():
        return []
    return sorted(p.name for p in directory.iterdir() if p.is_file() and p.name not in _NOT_IN_DIGEST)
