"""The list of what a base model is trained on: each text with where it is from, why it may be used, and its digest.

A TOML file; `docs/reference/pretraining.md` describes it. What has no stated right to be used is refused here, before
anything is fetched or read.
"""

import re
from collections.abc import Mapping
from urllib.parse import urlsplit

import msgspec

from viz_node.domain.plain_text import one_line
from viz_node.errors import UsageError

FORMAT = "viz-node/sources/1"
MAX_LIST_BYTES = 512 * 1024
PUBLIC_DOMAIN, OWNED, LICENSED = "public-domain", "owned", "licensed"
OPEN_LICENSES = frozenset(
    (
        *("CC0-1.0", "CC-BY-3.0", "CC-BY-4.0", "CC-BY-SA-3.0", "CC-BY-SA-4.0", "PDDL-1.0", "ODC-By-1.0"),
        *("OGL-UK-3.0", "MIT", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "Unlicense"),
    )
)
"""SPDX names that allow commercial use and changes; adapters of the base are sold."""

SOURCES_HINT = "docs/reference/pretraining.md describes the file"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_MOST_CHARACTERS = 2000


class Source(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One text: at `path` below the folder of texts, or at `url`, with the SHA-256 that the file must have.

    `license` is "public-domain", "owned", "licensed" or an open license by its SPDX name. All but the last need
    `reasons`: by jurisdiction (`US`, `EU`, …) why it may be used. A `held_out` text is measured on, not trained on.
    """

    title: str
    authors: tuple[str, ...]
    license: str
    sha256: str
    path: str = ""
    url: str = ""
    revision: str = ""
    origins: tuple[str, ...] = ()
    reasons: dict[str, str] = {}
    held_out: bool = False

    def file_name(self) -> str:
        """The name of its file once fetched: the digest, and the suffix that tells how to read it."""
        suffix = re.search(r"\.[a-z0-9]{1,8}\Z", (urlsplit(self.url).path if self.url else self.path).lower())
        return self.sha256 + (suffix.group() if suffix else "")


class SourceList(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A whole list: the base's name and license, what is left out, and the texts.

    A paragraph with one of the words `leave_out` is not learned from.
    """

    format: str
    name: str
    license: str
    sources: tuple[Source, ...]
    leave_out: tuple[str, ...] = ()


def parse_sources(body: object) -> SourceList:
    """A checked list, from a TOML file's tables.

    Raises: UsageError (it is malformed, or the rights in a text are unknown).
    """
    try:
        found = msgspec.convert(body, SourceList)
    except (msgspec.ValidationError, RecursionError) as error:
        raise UsageError(f"the list of sources is malformed: {error}", SOURCES_HINT) from error
    if found.format != FORMAT:
        raise UsageError(f"the list of sources has the format {found.format[:40]!r}, not {FORMAT}", SOURCES_HINT)
    if not _NAME.fullmatch(found.name):
        raise UsageError(f"{found.name[:80]!r} is no name of a base model", "use 1 to 64 letters, digits, - _ and .")
    if not found.sources or all(source.held_out for source in found.sources):
        raise UsageError("the list of sources names no text to train on", SOURCES_HINT)
    digests = [source.sha256 for source in found.sources]
    for number, source in enumerate(found.sources, 1):
        problem = _problem(source)
        if problem:
            raise UsageError(f"source {number} ({one_line(source.title, 60)}): {problem}", SOURCES_HINT)
        if source.sha256 in digests[: number - 1]:
            raise UsageError(
                f"source {number} ({one_line(source.title, 60)}) is the same file as an earlier one", "name it once"
            )
    return found


def _problem(source: Source) -> str:
    """What is wrong with it, empty if nothing is."""
    texts = [source.title, *source.authors, *source.origins, *source.reasons, *source.reasons.values(), source.revision]
    if not all(text.isprintable() and len(text) <= _MOST_CHARACTERS for text in [*texts, source.path, source.url]):
        return "it holds a text that is too long, or that nobody can read"
    if not source.title.strip() or not source.authors or not all(author.strip() for author in source.authors):
        return "title and authors are needed; say Anonymous where the author is not known"
    if not re.fullmatch(r"[0-9a-f]{64}", source.sha256):
        return "sha256 must be 64 hexadecimal digits"
    return _problem_of_place(source) or problem_of_rights(source.license, source.reasons)


def _problem_of_place(source: Source) -> str:
    if bool(source.path) == bool(source.url):
        return "give either a path or a url"
    if source.path:
        leaves = source.path.startswith("/") or ".." in source.path.split("/")
        return "the path must stay below the folder of texts" if leaves else ""
    try:
        parts = urlsplit(source.url)
        is_plain = parts.scheme == "https" and bool(parts.hostname) and parts.username is None
    except ValueError:
        is_plain = False
    return "" if is_plain else "the url must begin with https:// and hold no password"


def problem_of_rights(license_name: str, reasons: Mapping[str, str]) -> str:
    """Why a text under this license, for these reasons by jurisdiction, may not be used; empty if it may."""
    if license_name in OPEN_LICENSES:
        return ""
    if license_name not in (PUBLIC_DOMAIN, OWNED, LICENSED):
        known = "public-domain, owned, licensed, nor an open license by its SPDX name"
        return f"its rights are unknown: {license_name[:40]!r} is none of {known}"
    if not reasons or not all(place.strip() and reason.strip() for place, reason in reasons.items()):
        return f"{license_name} needs a reason for at least one jurisdiction"
    return ""
