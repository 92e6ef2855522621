"""Which files a path stands for, and their bytes, without following links out of a folder."""

import os
import stat
from collections.abc import Iterator, Sequence
from pathlib import Path

from viz_node.errors import VerificationError


def list_files(paths: Sequence[str | Path]) -> Iterator[tuple[Path, str]]:
    """Each file once, in a fixed order, with an empty string or the reason why it is left out.

    A folder stands for all files below it except hidden ones; a link inside it counts only if it stays inside.
    """
    seen: set[Path] = set()
    for path in map(Path, paths):
        for file, problem in _files_of(path):
            real = Path(os.path.realpath(file))
            if problem:
                yield file, problem
            elif real not in seen:
                seen.add(real)
                yield file, ""


def _files_of(path: Path) -> Iterator[tuple[Path, str]]:
    if not path.is_dir():
        yield path, "" if path.exists() else "there is no such file"
        return
    root = Path(os.path.realpath(path))
    for folder, folders, names in os.walk(path, followlinks=False):
        here = Path(folder)
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in folders:
            if (here / name).is_symlink() and not Path(os.path.realpath(here / name)).is_relative_to(root):
                yield here / name, "the link leads out of the folder"
        for name in sorted(name for name in names if not name.startswith(".")):
            file = here / name
            if not Path(os.path.realpath(file)).is_relative_to(root):
                yield file, "the link leads out of the folder"
            else:
                yield file, "" if file.exists() else "the link leads nowhere"


def read_regular_file(path: Path, limit_bytes: int) -> bytes:
    """The bytes of a regular file of at most the limit. Raises: VerificationError."""
    try:
        # O_NONBLOCK so that a named pipe cannot block the reader
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(descriptor, "rb") as file:
            status = os.fstat(file.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise VerificationError("it is not a regular file")
            if status.st_size > limit_bytes:
                raise VerificationError(f"it is larger than {limit_bytes >> 20} MiB")
            data = file.read(limit_bytes + 1)
    except OSError as error:
        raise VerificationError(f"it cannot be read: {error.strerror}") from error
    if len(data) > limit_bytes:
        raise VerificationError(f"it is larger than {limit_bytes >> 20} MiB")
    return data
