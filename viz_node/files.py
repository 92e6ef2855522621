"""Files that a person names: regular ones only, bounded in size, so that no device, pipe or giant stops a command."""

import os
import stat
import tempfile
import tomllib
from pathlib import Path
from typing import Any

from viz_node.errors import StorageError, UsageError

MAX_TOML_BYTES = 64 * 1024
# The parser takes time in the square of a dotted key's length.
MAX_TOML_LINE_BYTES = 4096


def read_regular_file(path: Path, max_bytes: int) -> bytes:
    """The whole file. Raises: UsageError (no regular file, larger than `max_bytes`), OSError."""
    # Without O_NONBLOCK, opening a pipe would wait for its other end.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise UsageError(f"{path} is no regular file", "name a file, not a device, a pipe or a directory")
        if status.st_size > max_bytes:
            raise UsageError(f"{path} is larger than {readable_size(max_bytes)}", "is it the right file?")
        raw = file.read(max_bytes + 1)
    if len(raw) > max_bytes:
        raise UsageError(f"{path} is larger than {readable_size(max_bytes)}", "is it the right file?")
    return raw


def write_whole(path: Path, raw: bytes) -> None:
    """Write or replace the file, whole or not at all, durably, readable by its owner only. Raises: StorageError."""
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
            Path(name).replace(path)
            directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(directory)
            os.close(directory)
        except BaseException:
            Path(name).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}", "check the folder and the disk") from error


def read_toml(path: Path, hint: str) -> dict[str, Any]:
    """The tables of a TOML file. Raises: UsageError with the cause in one line, and `hint`."""
    try:
        raw = read_regular_file(path, MAX_TOML_BYTES)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint) from error
    try:
        if max(map(len, raw.split(b"\n"))) > MAX_TOML_LINE_BYTES:
            raise ValueError(f"a line is longer than {MAX_TOML_LINE_BYTES} bytes")
        return tomllib.loads(raw.decode())
    except RecursionError as error:
        raise UsageError(f"{path}: nested too deeply", hint) from error
    except ValueError as error:
        raise UsageError(f"{path}: {error}", hint) from error


def readable_size(size_bytes: int) -> str:
    """Bytes in the largest unit that gives a whole number."""
    for shift, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size_bytes >= 1 << shift and not size_bytes % (1 << shift):
            return f"{size_bytes >> shift} {unit}"
    return f"{size_bytes} bytes"
