"""Works out of files, through child processes that a file may kill without harm."""

import asyncio
import json
import signal
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from viz_node.content.decoding import check_encoding
from viz_node.content.files import list_files
from viz_node.domain.names import readable
from viz_node.errors import VizNodeError

# One line holds a whole work: 20 million characters, each at most 12 bytes of JSON.
_MAX_LINE_BYTES = 260 << 20
_PACKAGE_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class ImportedWork:
    """The text of one file, in words that UTF-8 can carry; `digest` is the SHA-256 of the file's bytes, in hex.

    `notes` tell what was guessed or left out.
    """

    path: str
    title: str
    text: str
    media_type: str
    digest: str
    size_bytes: int
    notes: tuple[str, ...] = ()


@dataclass(frozen=True)
class ImportFailure:
    """A file that gave no text, and why."""

    path: str
    error: str


async def import_works(
    paths: Sequence[str | Path], timeout_seconds: float = 60, encoding: str = ""
) -> AsyncIterator[ImportedWork | ImportFailure]:
    """Read the files and folders; one item per file, in order. A file gets at most `timeout_seconds`.

    `encoding` is that of the texts among them. Raises: VizNodeError (no child process can be started), UsageError (no
    such encoding).
    """
    encoding = check_encoding(encoding) if encoding else ""
    waiting: list[str] = []
    for path, problem in await asyncio.to_thread(lambda: list(list_files(paths))):
        if problem:
            yield ImportFailure(readable(str(path)), problem)
        else:
            waiting.append(str(path))
    while waiting:
        async with aclosing(_read_until_death(waiting, timeout_seconds, encoding)) as items:
            async for item in items:
                waiting.pop(0)
                yield _in_utf8(item)


async def _read_until_death(
    paths: Sequence[str], timeout_seconds: float, encoding: str
) -> AsyncGenerator[ImportedWork | ImportFailure, None]:
    """Items for a head of `paths`, at least one; ends early after a file that killed the child."""
    process = await _start(paths, encoding)
    assert process.stdout is not None
    try:
        for path in paths:
            try:
                line = await asyncio.wait_for(process.stdout.readline(), timeout_seconds)
            except TimeoutError:
                yield ImportFailure(path, f"reading it took longer than {timeout_seconds:g} s")
                return
            except ValueError:
                yield ImportFailure(path, "its text is too long")
                return
            if not line.endswith(b"\n"):
                yield ImportFailure(path, _cause_of_death(await process.wait()))
                return
            yield _item(path, line)
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _start(paths: Sequence[str], encoding: str) -> asyncio.subprocess.Process:
    try:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "viz_node.content.worker"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PYTHONPATH": str(_PACKAGE_ROOT), "PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1"},
            limit=_MAX_LINE_BYTES,
            start_new_session=True,
        )
    except OSError as error:
        raise VizNodeError(f"the reading process does not start: {error.strerror}", "see `viz-node doctor`") from error
    assert process.stdin is not None
    with suppress(BrokenPipeError, ConnectionResetError):  # its early death shows at the first line
        process.stdin.write(json.dumps({"paths": list(paths), "encoding": encoding}).encode())
        await process.stdin.drain()
        process.stdin.close()
    return process


def _item(path: str, line: bytes) -> ImportedWork | ImportFailure:
    try:
        body = json.loads(line)
        if "error" in body:
            return ImportFailure(**body)
        return ImportedWork(**{**body, "notes": tuple(str(note) for note in body["notes"])})
    except (ValueError, TypeError, KeyError):
        return ImportFailure(path, "the reading process answered nonsense")


def _in_utf8(item: ImportedWork | ImportFailure) -> ImportedWork | ImportFailure:
    """File names may hold bytes that are not UTF-8; what comes after this is text."""
    texts: dict[str, Any] = {name: readable(value) for name, value in vars(item).items() if isinstance(value, str)}
    if isinstance(item, ImportedWork):
        texts["notes"] = tuple(map(readable, item.notes))
    return replace(item, **texts)


def _cause_of_death(status: int) -> str:
    if status == -signal.SIGXCPU:
        return "reading it took too much processor time"
    if status in (-signal.SIGKILL, -signal.SIGSEGV, -signal.SIGABRT):
        return f"reading it ended the process ({signal.Signals(-status).name})"
    return f"reading it ended the process (status {status})"
