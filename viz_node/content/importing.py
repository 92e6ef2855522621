"""Works from files, read in child processes that a hostile file can kill without harm."""

import asyncio
import signal
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing
from pathlib import Path

import msgspec

from viz_node.content.decoding import check_encoding
from viz_node.content.files import list_files
from viz_node.content.lines import FileFailed, FileRead, ReadFiles
from viz_node.domain.names import FilePath, readable
from viz_node.domain.work import ImportedWork, ImportFailure
from viz_node.errors import VerificationError
from viz_node.workers.ask import WorkerCommand, started

# One line holds a whole work: 20 million characters, each at most 12 bytes of JSON.
_MAX_LINE_BYTES = 260 << 20
# Threads of numpy would take address space, which the child bounds.
_SETTINGS = {"PYTHONUTF8": "1", "PYTHONDONTWRITEBYTECODE": "1", "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
_READER = WorkerCommand("viz_node.content.worker", _SETTINGS, _MAX_LINE_BYTES)
_LINE = msgspec.json.Decoder(FileRead | FileFailed)


async def import_works(
    paths: Sequence[str | Path], timeout_seconds: float = 60, encoding: str = ""
) -> AsyncIterator[ImportedWork | ImportFailure]:
    """Read the files and folders; one item per file, in order. A file gets at most `timeout_seconds`.

    `encoding` is that of the texts among them. Raises: VizNodeError (no child process can be started), UsageError (no
    such encoding).
    """
    encoding = check_encoding(encoding) if encoding else ""
    waiting: list[FilePath] = []
    for path, problem in await asyncio.to_thread(lambda: list(list_files(paths))):
        if problem:
            yield ImportFailure(readable(str(path)), problem)
        else:
            waiting.append(FilePath(str(path)))
    while waiting:
        async with aclosing(_read_until_death(tuple(waiting), timeout_seconds, encoding)) as items:
            async for item in items:
                waiting.pop(0)
                yield item


async def _read_until_death(
    paths: tuple[FilePath, ...], timeout_seconds: float, encoding: str
) -> AsyncGenerator[ImportedWork | ImportFailure, None]:
    """Items for a head of `paths`, at least one; ends early after a file that killed the child."""
    async with started(_READER, ReadFiles(paths=paths, encoding=encoding)) as reader:
        for path in paths:
            try:
                line = await reader.next(_LINE, timeout_seconds)
            except TimeoutError:
                yield ImportFailure(readable(path), f"reading it took longer than {timeout_seconds:g} s")
                return
            except VerificationError as error:
                yield ImportFailure(readable(path), error.message)
                return
            if line is None:
                yield ImportFailure(readable(path), _cause_of_death(await reader.status()))
                return
            yield _item(readable(path), line)


def _item(path: str, line: FileRead | FileFailed) -> ImportedWork | ImportFailure:
    if isinstance(line, FileFailed):
        return ImportFailure(path, line.error)
    facts = line.media_type, line.digest, line.size_bytes, line.notes, line.language, line.signature
    return ImportedWork(path, line.title, line.text, *facts)


def _cause_of_death(status: int) -> str:
    if status == -signal.SIGXCPU:
        return "reading it took too much processor time"
    if status in (-signal.SIGKILL, -signal.SIGSEGV, -signal.SIGABRT):
        return f"reading it ended the process ({signal.Signals(-status).name})"
    return f"reading it ended the process (status {status})"
