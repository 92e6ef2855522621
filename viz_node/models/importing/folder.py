"""The two files of a stranger's adapter folder, opened without trust; all others are ignored by name, never opened."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from io import BufferedReader
from pathlib import Path
from typing import NoReturn

from viz_node.errors import VerificationError
from viz_node.models.adapter_files import CONFIG_NAME, MAX_WEIGHTS_BYTES, WEIGHTS_NAME
from viz_node.models.importing.peft_config import MAX_FOREIGN_CONFIG_BYTES

_MOST_ENTRIES = 10_000
_PICKLES = ("adapter_model.bin", "adapter_model.pt", "adapter_model.pth")


@dataclass(frozen=True)
class ForeignFolder:
    """The configuration's bytes, the open weights with their size, and how many entries were left alone."""

    config: bytes
    weights: BufferedReader
    weights_size: int
    ignored: tuple[str, ...]


@contextmanager
def opened(directory: Path) -> Iterator[ForeignFolder]:
    """The folder's two files, plain files of allowed sizes, open for the block.

    Raises: VerificationError (no adapter, a link or device in its place, too large).
    """
    with ExitStack() as stack:
        try:
            folder = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            stack.callback(os.close, folder)
            names = _names_in(folder)
            _check_names(folder, names, directory)
            config, size = _open_plain(folder, CONFIG_NAME, MAX_FOREIGN_CONFIG_BYTES)
            raw = stack.enter_context(config).read(size + 1)
            weights, weights_size = _open_plain(folder, WEIGHTS_NAME, MAX_WEIGHTS_BYTES)
            stack.enter_context(weights)
        except OSError as error:
            _refuse(f"{directory} cannot be read: {error.strerror}", "name the folder that the training wrote")
        if len(raw) != size:
            _refuse(f"{CONFIG_NAME} changes while it is read", "wait until its writer is done")
        others = sorted(names - {CONFIG_NAME, WEIGHTS_NAME})
        yield ForeignFolder(raw, weights, weights_size, tuple(others))


def _names_in(folder: int) -> set[str]:
    names: set[str] = set()
    with os.scandir(folder) as entries:
        for entry in entries:
            names.add(entry.name)
            if len(names) > _MOST_ENTRIES:
                _refuse("the folder has more than 10,000 entries", "name the folder that the training wrote")
    return names


def _check_names(folder: int, names: set[str], directory: Path) -> None:
    if CONFIG_NAME not in names:
        if "config.json" in names:
            _refuse(f"{directory} holds a whole model, not an adapter", "import the adapter before it is merged")
        found = (name for name in names if re.fullmatch(r"checkpoint-[0-9]{1,9}", name))
        checkpoints = sorted(found, key=lambda name: (len(name), name))
        hint = (
            f"name one of its checkpoints: {directory / checkpoints[-1]}" if checkpoints else "name the folder with it"
        )
        _refuse(f"{directory} has no {CONFIG_NAME}", hint)
    if WEIGHTS_NAME in names:
        return
    pickle = next((name for name in _PICKLES if name in names), None)
    if pickle is not None:
        _refuse(
            f"{pickle} is a pickle, which can run code when it is opened, so it stays closed",
            "where you trust it, load it in PEFT and write it again: save_pretrained(…, safe_serialization=True)",
        )
    if any(name.startswith("adapter_model-") for name in names):
        _refuse("its weights are in several files", "save it again in one file: save_pretrained(…, max_shard_size=…)")
    _refuse(f"{directory} has no {WEIGHTS_NAME}", "save it again with PEFT, as safetensors")


def _open_plain(folder: int, name: str, most: int) -> tuple[BufferedReader, int]:
    """The open file and its size; a pipe or device is never opened. Raises: VerificationError, OSError."""
    before = os.stat(name, dir_fd=folder, follow_symlinks=False)
    if stat.S_ISLNK(before.st_mode):
        _refuse(f"{name} is a link", "copy the folder with what its links name: cp -rL")
    if not stat.S_ISREG(before.st_mode):
        _refuse(f"{name} is no plain file", "save it again with PEFT")
    # It may have been replaced since.
    descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=folder)
    file = os.fdopen(descriptor, "rb")
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode) or status.st_size > most:
        file.close()
        _refuse(f"{name} is larger than {most >> 10:,} KiB, or no plain file", "is it the right file?")
    return file, status.st_size


def _refuse(what: str, hint: str) -> NoReturn:
    raise VerificationError(what, hint)
