"""Files as the reader of works gives them, without any files."""

import hashlib
from collections.abc import AsyncIterator
from pathlib import Path

from viz_node.domain.work import ImportedWork, ImportFailure


async def read_files(paths: list[Path], encoding: str) -> AsyncIterator[ImportedWork | ImportFailure]:
    for path in paths:
        yield item_of(path, (f"read as {encoding}",) if encoding else ())


def item_of(path: Path, notes: tuple[str, ...] = ()) -> ImportedWork | ImportFailure:
    if path.suffix == ".bad":
        return ImportFailure(str(path), "not a text")
    text = f"the text of {path.stem}"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return ImportedWork(str(path), path.stem, text, "text/plain", digest, len(text), notes)
