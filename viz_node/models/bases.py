"""Installed base models: their folders, digests, provenance and layer shapes; knows no torch."""

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from viz_node.errors import NotFoundError, UsageError, VerificationError
from viz_node.models.adapter_files import MODULE_NAMES

PROVENANCE_NAME = "provenance.json"
_MAX_BASE_HEADER_BYTES = 16 * 1024 * 1024
_HF_PATH = re.compile(r"hf:([A-Za-z0-9][\w.-]{0,95}/[A-Za-z0-9][\w.-]{0,95})@([0-9a-f]{40})")
_MODEL_FILES = ("config.json", "generation_config.json", "*.safetensors", "*.safetensors.index.json", "tokenizer*")


@dataclass(frozen=True)
class ResolvedBase:
    """A base model on this disk whose digest was compared, when one was asked for."""

    name: str
    directory: Path
    digest: str


def base_digest(directory: Path) -> str:
    """SHA-256 over the names and digests of all plain files but the provenance. Raises: NotFoundError."""
    names = _file_names(directory)
    if "config.json" not in names or not any(name.endswith(".safetensors") for name in names):
        raise NotFoundError(f"{directory} holds no base model", "install one with `viz-node base build`")
    lines = []
    for name in names:
        with (directory / name).open("rb") as file:
            lines.append(f"{name} {hashlib.file_digest(file, 'sha256').hexdigest()}\n")
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def list_bases(root: Path) -> list[dict[str, Any]]:
    """`read_base` of every base model in the folder, by name."""
    if not root.is_dir():
        return []
    # A hidden folder is a base model in the making.
    named = (path for path in sorted(root.iterdir()) if not path.name.startswith("."))
    folders = (path for path in named if (path / PROVENANCE_NAME).is_file())
    return [read_base(folder) for folder in folders]


def read_base(directory: Path) -> dict[str, Any]:
    """Name, path, digest, license and size of a base, from its provenance.

    Raises: NotFoundError, VerificationError.
    """
    try:
        provenance = json.loads((directory / PROVENANCE_NAME).read_bytes())
        facts = {key: provenance[key] for key in ("name", "digest", "license", "parameters")}
    except OSError as error:
        raise NotFoundError(f"{directory} holds no base model", "install one with `viz-node base build`") from error
    except (ValueError, KeyError, TypeError) as error:
        raise VerificationError(f"{directory / PROVENANCE_NAME} is malformed: {error}") from error
    return {**facts, "path": str(directory), "provenance": provenance}


def resolve_base(base: dict[str, Any]) -> ResolvedBase:
    """Find the folder of `{"name", "path", "digest"}` and compare the digest.

    `path` is a folder, or `hf:<repository>@<commit>`, which is downloaded to the Hugging Face cache: safetensors,
    configuration and tokenizer only. An empty digest is accepted and computed. Raises: NotFoundError,
    VerificationError (another digest), UsageError.
    """
    name, path, digest = (base.get(key, "") for key in ("name", "path", "digest"))
    if not all(isinstance(value, str) for value in (name, path, digest)) or not path:
        raise UsageError("a base model needs a name, a path and a digest", "see `viz-node base list`")
    directory = _download(path) if path.startswith("hf:") else Path(path)
    actual = base_digest(directory)
    if digest and actual != digest:
        raise VerificationError(f"base model {name} has digest {actual[:12]}…, not {digest[:12]}…", "install it again")
    return ResolvedBase(name or directory.name, directory, actual)


def base_shapes(directory: Path) -> dict[str, tuple[int, int]]:
    """Module path -> (outputs, inputs) of all linear layers that an adapter may change. Raises: VerificationError."""
    shapes: dict[str, tuple[int, int]] = {}
    for path in sorted(directory.glob("*.safetensors")):
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > _MAX_BASE_HEADER_BYTES:
                raise VerificationError(f"{path}: the header is too long", "install the base model again")
            try:
                header = json.loads(file.read(length))
                for name, entry in header.items():
                    module = name.removesuffix(".weight")
                    if module.rsplit(".", 1)[-1] in MODULE_NAMES and name != module:
                        outputs, inputs = entry["shape"]
                        shapes[module] = (int(outputs), int(inputs))
            except (ValueError, KeyError, TypeError, AttributeError) as error:
                raise VerificationError(f"{path}: the header is malformed", "install the base model again") from error
    return shapes


def _file_names(directory: Path) -> list[str]:
    if not directory.is_dir():
        return []
    return sorted(p.name for p in directory.iterdir() if p.is_file() and p.name != PROVENANCE_NAME)


def _download(path: str) -> Path:
    match = _HF_PATH.fullmatch(path)
    if match is None:
        raise UsageError(f"{path!r} is not a pinned repository", "write hf:<owner>/<name>@<40 hex digits of a commit>")
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(match.group(1), revision=match.group(2), allow_patterns=list(_MODEL_FILES)))
    except Exception as error:
        raise NotFoundError(f"cannot get {path}: {error}", "check the name, the commit and the network") from error
