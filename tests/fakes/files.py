"""Files as the reader of works gives them, without any files."""

import hashlib
from pathlib import Path
from typing import Any


async def read_files(paths: list[Path], encoding: str) -> list[dict[str, Any]]:
    notes = {"notes": (f"read as {encoding}",)} if encoding else {}
    return [item_of(path) | notes for path in paths]


def item_of(path: Path) -> dict[str, Any]:
    if path.suffix == ".bad":
        return {"path": str(path), "error": "not a text"}
    text = f"the text of {path.stem}"
    digest = hashlib.sha256(text.encode()).hexdigest()
    return {"path": str(path), "digest": digest, "title": path.stem, "media_type": "text/plain", "text": text,
            "size_bytes": len(text)}  # fmt: skip
