"""The child process that parses strangers' files: `python -m viz_node.content.worker`.

One `ReadFiles` order on stdin; one line per file on stdout, in the order of `list_files`. The process limits its own
memory, processor time per file and open files, and it may write no file, so that the worst a file can do is to end it;
`importing` starts another one for the rest.
"""

import hashlib
import resource
import sys
from pathlib import Path

from viz_node.content.files import list_files, read_regular_file
from viz_node.content.language import language_of, prepare
from viz_node.content.lines import FileFailed, FileRead, ReadFiles
from viz_node.content.passages import signature_of
from viz_node.content.readers import MAX_FILE_BYTES, READERS, clean_title, read_text
from viz_node.domain.names import is_readable, readable
from viz_node.errors import VerificationError
from viz_node.workers.serve import Emit, serve

MEMORY_BYTES = 1 << 30
SECONDS_PER_FILE = 30


def limit_process() -> None:
    """Bound memory and open files, forbid writing files and core dumps, for the rest of the process."""
    limits = [
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ]
    for kind, value in limits:
        hard = resource.getrlimit(kind)[1]
        bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
        try:
            resource.setrlimit(kind, (bounded, bounded))
        except ValueError:
            # macOS bounds no address space; the bound on processor time holds there.
            if sys.platform == "linux":
                raise


def allow_more_time() -> None:
    """Give the next file its own processor time; the kernel ends the process when it is used up."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    hard = resource.getrlimit(resource.RLIMIT_CPU)[1]
    resource.setrlimit(resource.RLIMIT_CPU, (int(used.ru_utime + used.ru_stime) + 1 + SECONDS_PER_FILE, hard))


def read_file(path: Path, encoding: str = "") -> FileRead | FileFailed:
    """The line for one file: its text and facts, or its error."""
    try:
        if path.suffix.lower() not in READERS:
            raise VerificationError(f"{path.suffix or 'no suffix'} is not one of {', '.join(sorted(READERS))}")
        data = read_regular_file(path, MAX_FILE_BYTES)
        found = read_text(path.suffix, data, encoding)
    except VerificationError as error:
        return FileFailed(readable(error.message))
    except MemoryError:
        return FileFailed("it needs too much memory")
    except RecursionError:
        return FileFailed("it is nested too deeply")
    return FileRead(
        readable(found.title) or title_of(path),
        readable(found.text),
        found.media_type,
        hashlib.sha256(data).hexdigest(),
        len(data),
        tuple(map(readable, (*found.notes, *_notes_on_name(path, found.title)))),
        language_of(found.text),
        signature_of(found.text),
    )


def title_of(path: Path) -> str:
    """The file's name in words, for a work that names no title."""
    return clean_title(readable(path.stem).replace("_", " ")) or "untitled"


def _notes_on_name(path: Path, title: str) -> list[str]:
    return [] if title or is_readable(path.stem) else ["its file name is not UTF-8"]


def read_files(order: ReadFiles, emit: Emit) -> None:
    """One line per file, each with processor time of its own."""
    for path, problem in list_files(order.paths):
        allow_more_time()
        emit(FileFailed(readable(problem)) if problem else read_file(path, order.encoding))


if __name__ == "__main__":
    prepare()
    limit_process()
    sys.exit(serve(ReadFiles, read_files))
