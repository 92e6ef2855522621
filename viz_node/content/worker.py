"""The child process that parses strangers' files: `python -m viz_node.content.worker`.

One JSON order `{"paths": [...], "encoding": "…"}` on stdin; one JSON line per file on stdout, in the order of
`list_files`. The process limits its own memory, processor time per file and open files, and it may write no file, so
that the worst a file can do is to end it; `importing` starts another one for the rest.
"""

import hashlib
import json
import resource
import sys
from pathlib import Path
from typing import Any, TextIO

from viz_node.content.files import list_files, read_regular_file
from viz_node.content.readers import MAX_FILE_BYTES, READERS, clean_title, read_text
from viz_node.domain.names import is_readable, readable
from viz_node.errors import VerificationError

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


def read_file(path: Path, encoding: str = "") -> dict[str, Any]:
    """The line for one file: its text and facts, or its error."""
    try:
        if path.suffix.lower() not in READERS:
            raise VerificationError(f"{path.suffix or 'no suffix'} is not one of {', '.join(sorted(READERS))}")
        data = read_regular_file(path, MAX_FILE_BYTES)
        found = read_text(path.suffix, data, encoding)
    except VerificationError as error:
        return {"path": str(path), "error": error.message}
    except MemoryError:
        return {"path": str(path), "error": "it needs too much memory"}
    except RecursionError:
        return {"path": str(path), "error": "it is nested too deeply"}
    return {
        "path": str(path),
        "title": found.title or title_of(path),
        "text": found.text,
        "media_type": found.media_type,
        "notes": [*found.notes, *_notes_on_name(path, found.title)],
        "digest": hashlib.sha256(data).hexdigest(),
        "size_bytes": len(data),
    }


def title_of(path: Path) -> str:
    """The file's name in words, for a work that names no title."""
    return clean_title(readable(path.stem).replace("_", " ")) or "untitled"


def _notes_on_name(path: Path, title: str) -> list[str]:
    return [] if title or is_readable(path.stem) else ["its file name is not UTF-8"]


def run(order_text: str, output: TextIO) -> int:
    """Carry out one order; the exit status."""
    try:
        order = json.loads(order_text)
        paths, encoding = order["paths"], order.get("encoding", "")
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        print(f"bad order: {error}", file=sys.stderr)
        return 1
    for path, problem in list_files(paths):
        allow_more_time()
        line = {"path": str(path), "error": problem} if problem else read_file(path, encoding)
        output.write(json.dumps(line) + "\n")
        output.flush()
    return 0


if __name__ == "__main__":
    limit_process()
    sys.exit(run(sys.stdin.read(), sys.stdout))
