"""One item of the owner's content, by its salted commitment, and what its owner declares about the rights."""

import hashlib
import re
from dataclasses import dataclass, fields
from enum import StrEnum

from viz_node.domain.answer import UNSET, UnsetType
from viz_node.domain.ids import WorkId
from viz_node.errors import UsageError

_LANGUAGE = re.compile(r"[a-z]{2,3}(-[A-Za-z0-9]{2,8}){0,4}")
_KEPT = ("salt", "signature")
SAMPLE_AUTHOR = "viz-node samples (CC0-1.0)"
"""Author of the works that come with the program; `all` works of an owner leaves them out."""


class Rights(StrEnum):
    """Why this owner may license what a model learns from the work."""

    OWNED = "owned"
    LICENSED = "licensed"
    PUBLIC_DOMAIN = "public-domain"


@dataclass(frozen=True)
class Work:
    """The record of a work; its text lies encrypted in the node. Erasing salt and text leaves only noise outside.

    `notes` tell what was guessed or left out when the text was taken from its file. `language` is a BCP 47 tag, `und`
    if it cannot be told; `signature` is of its passages (`domain/similar.py`). Earlier versions recorded neither.
    """

    work_id: WorkId
    title: str
    author: str
    rights: Rights
    media_type: str
    size_bytes: int
    characters: int
    digest: str
    salt: str
    added: int
    notes: tuple[str, ...] = ()
    language: str = ""
    signature: tuple[int, ...] = ()


@dataclass(frozen=True)
class ShownWork:
    """A work without what only the node needs: salt and signature. `excerpt` is the beginning of its text."""

    work_id: WorkId
    title: str
    author: str
    rights: Rights
    media_type: str
    size_bytes: int
    characters: int
    digest: str
    added: int
    notes: tuple[str, ...]
    language: str
    excerpt: str | UnsetType = UNSET


def shown_work(work: Work) -> ShownWork:
    """The work as people see it."""
    return ShownWork(**{field.name: getattr(work, field.name) for field in fields(Work) if field.name not in _KEPT})


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
    language: str = "und"
    signature: tuple[int, ...] = ()


@dataclass(frozen=True)
class ImportFailure:
    """A file that gave no text, and why."""

    path: str
    error: str


def parse_language(tag: str) -> str:
    """A language's tag, as `en` or `pt-BR`. Raises: UsageError."""
    if not _LANGUAGE.fullmatch(tag):
        raise UsageError(f"{tag[:40]!r} is no language tag", "--language en, or pt-BR; und if it is none")
    return tag


def commit_work(digest: bytes, salt: bytes) -> WorkId:
    """The commitment that manifests carry: without the salt it tells nothing about the work."""
    return WorkId(hashlib.sha256(b"viz-node/work/1\0" + salt + digest).hexdigest())
