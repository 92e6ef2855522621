"""Installs a base model from a model hub: one commit, no code, a digest of its own; knows no torch.

What is downloaded becomes a folder like any other base model, with its provenance. After that nothing goes out any
more: training, generating and publishing use the folder, and every use compares its digest.
"""

import json
import math
import shutil
import stat
from pathlib import Path
from typing import Any

from viz_node.domain.hub import HubModel, parse_hub_model
from viz_node.errors import NotFoundError, StorageError, UnreachableError, VerificationError, VizNodeError
from viz_node.models.bases import PROVENANCE_NAME, base_digest, base_shapes, read_base, read_header

# No `*.bin`, `*.pt` or `*.py`: pickles and code are never fetched, so they can never run.
MODEL_FILES = ("config.json", "generation_config.json", "*.safetensors", "*.safetensors.index.json", "tokenizer*.json",
               "special_tokens_map.json", "vocab.json", "merges.txt", "tokenizer.model")  # fmt: skip


def install_base(source: str, out_dir: Path) -> dict[str, Any]:
    """Download `hf:<owner>/<name>@<commit>` to `out_dir` in one step; returns what `read_base` says of it.

    Raises: UsageError (not pinned), NotFoundError, UnreachableError, VerificationError (no model that we can use),
    StorageError.
    """
    model = parse_hub_model(source)
    partial = out_dir.with_name(f".{out_dir.name}.partial")
    try:
        partial.mkdir(parents=True, exist_ok=True)
        license_name = _download(model, partial)
        shutil.rmtree(partial / ".cache", ignore_errors=True)
        provenance = _provenance(model, license_name, partial)
        (partial / PROVENANCE_NAME).write_text(json.dumps(provenance, indent=2, sort_keys=True) + "\n")
        partial.replace(out_dir)
    except OSError as error:
        raise StorageError(f"cannot write the base model: {error}", "check the disk") from error
    return read_base(out_dir)


def _download(model: HubModel, directory: Path) -> str:
    """The model's files into the directory, resumed if they are there in part; returns the license's name."""
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        facts = HfApi().model_info(model.repository, revision=model.commit)
        snapshot_download(
            model.repository, revision=model.commit, allow_patterns=list(MODEL_FILES), local_dir=directory
        )
    except (RepositoryNotFoundError, HfHubHTTPError) as error:
        status = getattr(error.response, "status_code", 0)
        if status in (401, 403, 404):
            raise NotFoundError(f"the hub has no {model} for you (status {status})", "check name and commit") from error
        raise UnreachableError(f"the hub failed on {model} (status {status})", "try again later") from error
    except OSError as error:
        if isinstance(error, LocalEntryNotFoundError | ConnectionError) or error.errno is None:
            raise _unreachable(model, error) from error
        raise
    except Exception as error:
        # The client's transport raises classes of its own for a refused or broken connection.
        raise _unreachable(model, error) from error
    if facts.sha != model.commit:
        raise VerificationError(f"the hub gave another commit than {model}", "check the commit")
    return str(getattr(facts.card_data, "license", None) or "unknown")


def _unreachable(model: HubModel, error: Exception) -> VizNodeError:
    cause = " ".join(str(error).split())[:200] or type(error).__name__
    return UnreachableError(f"cannot download {model}: {cause}", "check the network and try again")


def _provenance(model: HubModel, license_name: str, directory: Path) -> dict[str, Any]:
    """Raises: VerificationError (a link, no tokenizer, or no layer that an adapter may change)."""
    for path in directory.iterdir():
        if not stat.S_ISREG(path.lstat().st_mode):
            raise VerificationError(f"{model} brought {path.name}, which is no plain file", "use another model")
    if not any((directory / name).exists() for name in ("tokenizer.json", "tokenizer.model", "vocab.json")):
        raise VerificationError(f"{model} has no tokenizer", "use another model")
    try:
        digest = base_digest(directory)
    except NotFoundError as error:
        raise VerificationError(f"{model} has no configuration with safetensors", "use another model") from error
    if not base_shapes(directory):
        raise VerificationError(f"{model} has no layers that an adapter can change", "use a Llama-like model")
    return {
        "format": "viz-node/base/1",
        "name": str(model),
        "digest": digest,
        "license": license_name,
        "parameters": sum(_parameters(path) for path in directory.glob("*.safetensors")),
        "sources": [{"kind": "model hub", "name": model.repository, "commit": model.commit, "license": license_name}],
    }


def _parameters(path: Path) -> int:
    header = read_header(path)
    return sum(math.prod(entry["shape"]) for entry in header.values())
