"""Installs a base model from a model hub: one commit, no code, a digest of its own; knows no torch.

What is downloaded becomes a folder like any other base model, with its provenance. After that nothing goes out any
more: training, generating and publishing use the folder, and every use compares its digest.
"""

import json
import shutil
import stat
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from viz_node.domain.hub import HubModel, parse_hub_model
from viz_node.domain.training import InstalledBase
from viz_node.errors import NotFoundError, StorageError, UnreachableError, VerificationError, VizNodeError
from viz_node.models.bases import PROVENANCE_NAME, base_digest, count_parameters, read_base, template_fact
from viz_node.models.hub_files import HubFiles, check_index, choose_files
from viz_node.models.preflight import check_config, check_layers, check_tokenizer, check_weights

Tell = Callable[[str, int, int], None]
_SPARE_BYTES = 1 << 30


def install_base(source: str, out_dir: Path, tell: Tell = lambda phase, step, steps: None) -> InstalledBase:
    """Download `hf:<owner>/<name>@<commit>` to `out_dir` in one step; returns what `read_base` says of it.

    The configuration comes first: what could not be trained on is refused before its weights are fetched. `tell` gets
    phase, step and steps. Raises: UsageError (not pinned), NotFoundError, UnreachableError, VerificationError (no model
    that we can use), StorageError.
    """
    model = parse_hub_model(source)
    partial = out_dir.with_name(f".{out_dir.name}.partial")
    try:
        partial.mkdir(parents=True, exist_ok=True)
        tell("check", 0, 1)
        files, license_name = _ask(model)
        _check_space(partial, files, model)
        _download(model, files.small, partial)
        _judge(model, files, partial)
        for number, name in enumerate(files.weights):
            tell("download", number, len(files.weights))
            _download(model, [name], partial)
        tell("verify", 0, 1)
        _keep_only(partial, {*files.small, *files.weights}, model)
        check_weights(partial, str(model))
        provenance = _provenance(model, license_name, partial)
        (partial / PROVENANCE_NAME).write_text(json.dumps(provenance, indent=2, sort_keys=True) + "\n")
        partial.replace(out_dir)
    except VerificationError:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    except OSError as error:
        raise StorageError(f"cannot write the base model: {error}", "check the disk") from error
    return read_base(out_dir)


def _ask(model: HubModel) -> tuple[HubFiles, str]:
    """The files to fetch and the license's name. Raises: NotFoundError, UnreachableError, VerificationError."""
    from huggingface_hub import HfApi

    with _hub_errors(model):
        facts = HfApi().model_info(model.repository, revision=model.commit, files_metadata=True)
    if facts.sha != model.commit:
        raise VerificationError(f"the hub gave another commit than {model}", "check the commit")
    sizes = {item.rfilename: item.size or 0 for item in facts.siblings or []}
    return choose_files(sizes, str(model)), str(getattr(facts.card_data, "license", None) or "unknown")


def _check_space(directory: Path, files: HubFiles, model: HubModel) -> None:
    """Raises: StorageError (the files and what is there of them already do not fit on the disk)."""
    there = sum(path.stat().st_size for path in directory.rglob("*") if path.is_file())
    needed, free = files.size_bytes - there + _SPARE_BYTES, shutil.disk_usage(directory).free
    if needed > free:
        what = f"{model} needs {needed / 2**30:.1f} GiB of disk, {free / 2**30:.1f} are free"
        raise StorageError(what, "free some disk space, or use a smaller model")


def _judge(model: HubModel, files: HubFiles, directory: Path) -> None:
    """Raises: VerificationError (the small files tell that it could not be trained on)."""
    check_index(directory, files, str(model))
    check_config(directory, str(model))
    check_tokenizer(directory, str(model))
    check_layers(directory, str(model))


def _download(model: HubModel, names: Sequence[str], directory: Path) -> None:
    """These files into the directory, resumed if they are there in part. Raises: NotFoundError, UnreachableError."""
    from huggingface_hub import hf_hub_download

    with _hub_errors(model):
        for name in names:
            hf_hub_download(model.repository, name, revision=model.commit, local_dir=directory)


@contextmanager
def _hub_errors(model: HubModel) -> Iterator[None]:
    """The hub's client in our errors. Raises: NotFoundError, UnreachableError, OSError (the disk)."""
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError, RepositoryNotFoundError

    try:
        yield
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


def _unreachable(model: HubModel, error: Exception) -> VizNodeError:
    cause = " ".join(str(error).split())[:200] or type(error).__name__
    return UnreachableError(f"cannot download {model}: {cause}", "check the network and try again")


def _keep_only(directory: Path, names: set[str], model: HubModel) -> None:
    """Remove what the client or an earlier attempt left beside them. Raises: VerificationError (a link)."""
    for path in directory.iterdir():
        if path.name not in names:
            shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
        elif not stat.S_ISREG(path.lstat().st_mode):
            raise VerificationError(f"{model} brought {path.name}, which is no plain file", "use another model")


def _provenance(model: HubModel, license_name: str, directory: Path) -> dict[str, object]:
    source = {"kind": "model hub", "name": model.repository, "commit": model.commit, "license": license_name}
    return {
        "format": "viz-node/base/1",
        "name": str(model),
        "digest": base_digest(directory),
        "license": license_name,
        "parameters": count_parameters(directory),
        "sources": [source],
        **template_fact(directory),
    }
