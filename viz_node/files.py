"""Files that a person names: regular ones only, bounded in size, so that no device, pipe or giant stops a command."""

import errno
import os
import re
import stat
import tempfile
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from viz_node.errors import StorageError, UsageError, already_there

MAX_TOML_BYTES = 64 * 1024
# The parser takes time in the square of a dotted key's length.
MAX_TOML_LINE_BYTES = 4096
_LONGEST_HEAD = 8192
_FORMAT = re.compile(rb'"viz-node/([a-z]+)/[0-9]+"')
_KINDS = {
    "audit": "a report of an audit",
    "backup": "a backup of keys",
    "checkpoint": "a checkpoint of an audit",
    "keystore": "a keystore",
    "receipts": "a file of receipts",
}


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


def write_whole(path: Path, data: bytes | Iterable[bytes], is_new: bool = False) -> None:
    """Write or replace the file, whole or not at all, durably, mode 0600 from the first byte.

    `data` may come in pieces, and what raises there leaves nothing. `is_new`: never replaces an existing file.
    Raises: RefusedError (a new file is there), StorageError.
    """
    try:
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        partial = Path(name)
        try:
            with os.fdopen(handle, "wb") as file:
                file.writelines([data] if isinstance(data, bytes) else data)
                file.flush()
                os.fsync(file.fileno())
            if is_new:
                _name_new(partial, path)
            else:
                partial.replace(path)
            directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
            os.fsync(directory)
            os.close(directory)
        finally:
            partial.unlink(missing_ok=True)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}", "check the folder and the disk") from error


def _name_new(partial: Path, path: Path) -> None:
    """Give the file its name unless another process was faster, which a rename would not notice."""
    try:
        os.link(partial, path)
    except FileExistsError as error:
        raise already_there(path, "name a new file") from error
    except OSError as error:
        # The file systems of memory sticks have no hard links, and a backup shall fit there.
        if error.errno not in (errno.EPERM, errno.ENOTSUP, errno.ENOSYS):
            raise
        if os.path.lexists(path):
            raise already_there(path, "name a new file") from error
        partial.rename(path)


def read_toml(path: Path, hint: str, max_bytes: int = MAX_TOML_BYTES) -> dict[str, Any]:
    """The tables of a TOML file. Raises: UsageError with the cause in one line, and `hint`."""
    try:
        raw = read_regular_file(path, max_bytes)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint) from error
    try:
        if max(map(len, raw.split(b"\n"))) > MAX_TOML_LINE_BYTES:
            raise ValueError(f"a line is longer than {MAX_TOML_LINE_BYTES} bytes")
        return tomllib.loads(raw.decode())
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8 text", hint) from error
    except RecursionError as error:
        raise UsageError(f"{path}: nested too deeply", hint) from error
    except ValueError as error:
        raise UsageError(f"{path}: {error}", hint) from error


def kind_of(raw: bytes) -> str:
    """Which of this program's files the bytes are, as `, but a backup of keys`; empty if none can be told."""
    match = _FORMAT.search(raw[:_LONGEST_HEAD])
    return f": it is {_KINDS[match[1].decode()]}" if match and match[1].decode() in _KINDS else ""


def readable_size(size_bytes: int) -> str:
    """Bytes in the largest unit that gives a whole number."""
    for shift, unit in ((30, "GiB"), (20, "MiB"), (10, "KiB")):
        if size_bytes >= 1 << shift and not size_bytes % (1 << shift):
            return f"{size_bytes >> shift} {unit}"
    return f"{size_bytes} bytes"
