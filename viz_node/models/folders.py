"""Takes a base model in from a folder of this machine: checked, copied, with a digest of its own; knows no torch.

It is copied, so that the folder may be changed or removed: what the node trains on stays what was checked.
"""

import json
import os
import shutil
import stat
from collections.abc import Callable
from pathlib import Path

import msgspec

from viz_node.domain.assess_base import LOCAL
from viz_node.domain.training import AddBase, BaseReady
from viz_node.domain.worker import Progress
from viz_node.errors import NotFoundError, StorageError, UsageError, VerificationError
from viz_node.models.bases import PROVENANCE_NAME, base_digest, count_parameters, template_fact
from viz_node.models.hub_files import HubFiles, check_index, choose_files
from viz_node.models.preflight import check_config, check_layers, check_tokenizer, check_weights

_MOST_FILES = 2000
_SPARE_BYTES = 1 << 30
_CHUNK_BYTES = 8 << 20


def add_base(order: AddBase, emit: Callable[[Progress], None]) -> BaseReady:
    """Copy the model to the order's folder in one step.

    Raises: UsageError (the name is taken), NotFoundError, VerificationError (no model that we can use), StorageError.
    """
    source, out = Path(order.source), Path(order.out_dir)
    if out.exists():
        raise UsageError(f"there is already a base model {order.name}", "choose another name: --name NAME")
    partial = out.with_name(f".{out.name}.partial")
    emit(Progress("check", 0, 1))
    files = choose_files(_sizes(source), str(source))
    try:
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        _check_space(partial, files, source)
        for name in files.small:
            _copy(source / name, partial / name)
        _judge(partial, files, str(source))
        for number, name in enumerate(files.weights):
            emit(Progress("copy", number, len(files.weights)))
            _copy(source / name, partial / name)
        emit(Progress("verify", 0, 1))
        check_weights(partial, str(source))
        digest = _describe(order, partial)
        partial.replace(out)
    except OSError as error:
        raise StorageError(f"cannot write the base model: {error}", "check the disk") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return BaseReady(order.name, order.out_dir, digest)


def _sizes(source: Path) -> dict[str, int]:
    """The files at the top of the folder; links count as what they lead to, as in a hub's cache.

    Raises: NotFoundError, VerificationError.
    """
    try:
        found = [path for path in source.iterdir() if path.is_file()]
        if len(found) > _MOST_FILES:
            raise VerificationError(f"{source} holds more than {_MOST_FILES} files", "name the folder of one model")
        return {path.name: path.stat().st_size for path in found}
    except OSError as error:
        raise NotFoundError(f"cannot read {source}: {error.strerror}", "check the folder") from error


def _check_space(partial: Path, files: HubFiles, source: Path) -> None:
    needed, free = files.size_bytes + _SPARE_BYTES, shutil.disk_usage(partial).free
    if needed > free:
        what = f"{source} needs {needed / 2**30:.1f} GiB of disk, {free / 2**30:.1f} are free"
        raise StorageError(what, "free some disk space, or use a smaller model")


def _judge(partial: Path, files: HubFiles, model: str) -> None:
    check_index(partial, files, model)
    check_config(partial, model)
    check_tokenizer(partial, model)
    check_layers(partial, model)


def _copy(source: Path, target: Path) -> None:
    """At most as many bytes as the file has when it is opened; what is no plain file by then is refused.

    Raises: VerificationError, OSError.
    """
    # Not blocking, so that a pipe that took the file's place cannot hold the worker.
    descriptor = os.open(source, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file, target.open("wb") as copy:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise VerificationError(f"{source} is no plain file", "name the folder of a model")
        left = status.st_size
        while left > 0 and (chunk := file.read(min(left, _CHUNK_BYTES))):
            copy.write(chunk)
            left -= len(chunk)


def _describe(order: AddBase, partial: Path) -> str:
    """Write the provenance; returns the digest."""
    source: dict[str, object] = {"kind": LOCAL, "name": order.source, "license": order.license}
    if order.stated is not None:
        source["stated"] = msgspec.to_builtins(order.stated)
    digest = base_digest(partial)
    provenance = {
        "format": "viz-node/base/1",
        "name": order.name,
        "digest": digest,
        "license": order.license,
        "parameters": count_parameters(partial),
        "sources": [source],
        **template_fact(partial),
    }
    (partial / PROVENANCE_NAME).write_text(json.dumps(provenance, indent=2, sort_keys=True) + "\n")
    return digest
