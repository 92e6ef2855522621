"""The node's home directory and the lock that lets only one process use it."""

import fcntl
import json
import os
import time
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from shlex import quote
from types import TracebackType

from viz_node.errors import LockedError, StorageError
from viz_node.files import write_whole

LOCK_NAME = "lock"
LAST_START = "last-start.json"
_MOST_FLAGS_BYTES = 64 * 1024


class HomeLock:
    """The home while this process owns it; the kernel frees it when the process ends, however it ends."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def close(self) -> None:
        """Give the home back; a second call does nothing."""
        if self._descriptor >= 0:
            os.truncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = -1

    def __enter__(self) -> "HomeLock":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_home(path: Path) -> HomeLock:
    """Create the home if need be, private to its owner, and lock it. Raises: LockedError, StorageError."""
    home = Path(path)
    try:
        home.mkdir(parents=True, exist_ok=True, mode=0o700)
        home.chmod(0o700)
        descriptor = os.open(home / LOCK_NAME, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise StorageError(f"cannot use {home}: {error.strerror}", "choose another --home") from error
    try:
        _lock_soon(descriptor)
    except OSError as error:
        os.close(descriptor)
        owner = peek_pid(home)
        raise LockedError(
            f"{home} is in use by process {owner or 'unknown'}",
            "stop it with Ctrl-C or SIGTERM, or choose another --home",
        ) from error
    os.truncate(descriptor, 0)
    os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
    return HomeLock(home, descriptor)


def _lock_soon(descriptor: int) -> None:
    # peek_pid of another process may hold the lock for microseconds, which must not look like a second node
    for _ in range(4):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            time.sleep(0.01)
    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


def remember_start(home: Path, is_dev: bool, joined: Path | None) -> None:
    """Leave how the node was started, so that advice to start it again names the same flags. Raises: StorageError."""
    write_whole(home / LAST_START, json.dumps({"dev": is_dev, "join": joined and str(joined)}).encode())


def was_started(home: Path) -> bool:
    """Whether a node came up on this home before."""
    return (home / LAST_START).exists()


def flags_of_last_start(home: Path) -> str:
    """The flags for a shell, each after a space; none for a home that has not been started."""
    try:
        with (home / LAST_START).open("rb") as file:
            told = json.loads(file.read(_MOST_FLAGS_BYTES))
        return (" --dev" if told["dev"] else "") + (f" --join {quote(str(told['join']))}" if told["join"] else "")
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def missing_parts(home: Path) -> list[Path]:
    """The folders down to the home that are not there, the innermost first."""
    return [path for path in (home, *home.parents) if not os.path.lexists(path)]


def present_of(home: Path, names: Iterable[Path]) -> frozenset[Path]:
    """Those of the names, relative to the home, that are there."""
    return frozenset(name for name in names if os.path.lexists(home / name))


def take_away(home: Path, files: Iterable[Path], folders: Iterable[Path], missing: Sequence[Path]) -> None:
    """Remove these files from the home; then these folders, and those that were `missing`, as far as they are empty.

    Files and folders are named relative to the home. Never raises: what cannot be removed stays.
    """
    for name in files:
        with suppress(OSError):
            (home / name).unlink()
    # The inner folders first, because only an empty one can be removed.
    within = sorted(folders, key=lambda name: len(name.parts), reverse=True)
    for folder in (*(home / name for name in within), *missing):
        with suppress(OSError):
            folder.rmdir()


def private_directory(home: Path, name: str) -> Path:
    """The directory `name` under the home, created with mode 0700. Raises: StorageError."""
    directory = Path(home) / name
    try:
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        directory.chmod(0o700)
    except OSError as error:
        raise StorageError(f"cannot create {directory}: {error.strerror}", "check the disk") from error
    return directory


def peek_pid(path: Path) -> int | None:
    """The process that holds the home, or None; takes no lock away from anyone."""
    try:
        with (Path(path) / LOCK_NAME).open("rb") as file:
            text = file.read(20).strip()
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                return int(text) if text.isdigit() else None
    except OSError:
        return None
    return None
