"""The node's log: bounded in size, repeats folded, and read from its end, whether the node runs or not.

Strangers can cause log lines, so no cause may fill the disk. One kind of line is written at most `PER_KIND` times a
minute, all kinds together `PER_MINUTE` times, and the next line says how many were left out.
"""

import logging
import os
import time
from collections import Counter
from collections.abc import Iterator
from logging.handlers import RotatingFileHandler
from pathlib import Path
from typing import TextIO

from viz_node.domain.counting import counted
from viz_node.domain.plain_text import one_line, several_lines
from viz_node.errors import NotFoundError, StorageError

LOG_NAME = "node.log"
MAX_LOG_BYTES = 8 * 1024 * 1024
KEPT_LOGS = 3
PER_KIND = 20
PER_MINUTE = 1000
MAX_LINE_CHARACTERS = 8000
_POLL_SECONDS = 0.2
_BLOCK_BYTES = 64 * 1024
_FORMAT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Folding(logging.Filter):
    """Lets one kind of line (logger, level and unformatted message) through at most `PER_KIND` times a minute."""

    def __init__(self) -> None:
        super().__init__()
        self._minute = 0
        self._seen: Counter[tuple[str, int, str]] = Counter()
        self._all = 0
        self._left_out = 0

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether to write the record; the first one of a new minute tells what was left out."""
        minute = int(record.created) // 60
        if minute != self._minute:
            self._minute, self._all = minute, 0
            self._seen.clear()
            if self._left_out:
                record.msg = (
                    f"{record.getMessage()} ({counted(self._left_out, 'line')} of the minutes before were left out)"
                )
                record.args, self._left_out = (), 0
        kind = (record.name, record.levelno, str(record.msg)[:200])
        if self._all >= PER_MINUTE or self._seen[kind] >= PER_KIND:
            self._left_out += 1
            return False
        self._all += 1
        self._seen[kind] += 1
        return True


class _Bounded(logging.Formatter):
    """Keeps log messages harmless and short: each is one line, from any source.

    A long message is cut in the middle: its start says what happened, the end of a traceback why.
    """

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 - the library's name
        return one_line(super().formatMessage(record), MAX_LINE_CHARACTERS)

    def format(self, record: logging.LogRecord) -> str:
        text = several_lines(super().format(record))
        half = MAX_LINE_CHARACTERS // 2
        return text if len(text) <= MAX_LINE_CHARACTERS else f"{text[:half]}\n[…]\n{text[-half:]}"


def write_log(home: Path, level: str) -> None:
    """Send everything that is logged in this process to the home's log. Raises: StorageError."""
    try:
        handler = RotatingFileHandler(
            home / "logs" / LOG_NAME, maxBytes=MAX_LOG_BYTES, backupCount=KEPT_LOGS, encoding="utf-8", errors="replace"
        )
    except OSError as error:
        raise StorageError(f"cannot write {home / 'logs' / LOG_NAME}: {error.strerror}", "check the disk") from error
    handler.setFormatter(_Bounded(_FORMAT))
    handler.addFilter(Folding())
    # A full disk must not fill the terminal with tracebacks about logging.
    logging.raiseExceptions = False
    logging.basicConfig(level=level, handlers=[handler])


def rotate(path: Path) -> None:
    """Rotate a large log that another process writes; this deletes the previously rotated one."""
    try:
        if path.stat().st_size > MAX_LOG_BYTES:
            path.replace(path.with_name(f"{path.name}.1"))
    except OSError:
        # There is none yet; opening it for writing reports any other trouble.
        return


def last_lines(home: Path, count: int) -> list[str]:
    """The log's last lines, those before the latest rotation included. Raises: NotFoundError, StorageError."""
    path = home / "logs" / LOG_NAME
    lines = _tail(path, count)
    older = path.with_name(f"{LOG_NAME}.1")
    if len(lines) < count and older.exists():
        lines = _tail(older, count - len(lines)) + lines
    return lines


def follow(home: Path) -> Iterator[str]:
    """Every new line, endlessly, across rotations and restarts. Raises: NotFoundError, StorageError."""
    path = home / "logs" / LOG_NAME
    file = _open(path)
    file.seek(0, os.SEEK_END)
    begun = ""
    while True:
        begun += file.readline()
        if begun.endswith("\n"):
            yield begun[:-1]
            begun = ""
        elif _is_another(path, file):
            rest = begun + file.read()
            yield from rest.splitlines()
            file.close()
            file, begun = _open(path), ""
        else:
            time.sleep(_POLL_SECONDS)


def _open(path: Path) -> TextIO:
    try:
        return path.open(encoding="utf-8", errors="replace", newline="\n")
    except FileNotFoundError:
        raise _absent(path) from None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error


def _is_another(path: Path, file: TextIO) -> bool:
    """Whether a rotation has put another file in this one's place."""
    try:
        return path.stat().st_ino != os.fstat(file.fileno()).st_ino
    except OSError:
        return False


def _tail(path: Path, count: int) -> list[str]:
    try:
        with path.open("rb") as file:
            file.seek(0, 2)
            place, raw = file.tell(), b""
            while place > 0 and raw.count(b"\n") <= count:
                step = min(place, _BLOCK_BYTES)
                place -= step
                file.seek(place)
                raw = file.read(step) + raw
    except FileNotFoundError:
        raise _absent(path) from None
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}") from error
    return raw.decode("utf-8", "replace").splitlines()[-count:] if count else []


def _absent(path: Path) -> NotFoundError:
    return NotFoundError(f"there is no log at {path}", "a node writes it once it has started: viz-node start")
