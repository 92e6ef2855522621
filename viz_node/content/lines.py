"""The records between a node and the worker that reads files; knows no reader."""

from typing import Annotated

from msgspec import Meta

from viz_node.domain.names import FilePath
from viz_node.domain.similar import SIGNATURE_SIZE
from viz_node.domain.worker import WorkerLine, WorkerOrder


class ReadFiles(WorkerOrder, frozen=True, tag="read"):
    """Read these files; answered by one `FileRead` or `FileFailed` each, in the order of `list_files`."""

    paths: tuple[FilePath, ...]
    encoding: str = ""


class FileRead(WorkerLine, frozen=True, tag="text"):
    """The text of a file and the facts about it; `digest` is the SHA-256 of the file's bytes, in hex."""

    title: str
    text: str
    media_type: str
    digest: Annotated[str, Meta(pattern="^[0-9a-f]{64}$")]
    size_bytes: Annotated[int, Meta(ge=0)]
    notes: tuple[str, ...] = ()
    language: Annotated[str, Meta(pattern="^[a-z]{2,3}$")] = "und"
    signature: Annotated[tuple[Annotated[int, Meta(ge=0, lt=1 << 32)], ...], Meta(max_length=SIGNATURE_SIZE)] = ()


class FileFailed(WorkerLine, frozen=True, tag="failure"):
    """Why a file gave no text."""

    error: str
