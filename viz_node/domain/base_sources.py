"""What is stated of a base that somebody else trained: its sources, as the owner of a node lists them.

A TOML file; `docs/how-to/base-models.md` describes it. Nothing in it can be checked against the weights, so that such a
base is `claimed` at most.
"""

import re

import msgspec

from viz_node.domain.sources import FORMAT as LIST_FORMAT
from viz_node.domain.sources import SourceList, parse_sources, problem_of_rights
from viz_node.errors import UsageError

FORMAT = "viz-node/base-sources/1"
HINT = "docs/how-to/base-models.md describes the file"
_MOST_SOURCES = 1000
_MOST_CHARACTERS = 2000
_LICENSE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,63}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


class StatedSource(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One text or data set: `license` and `reasons` as in a list of sources to train on; `place` is where it is."""

    title: str
    license: str
    place: str = ""
    sha256: str = ""
    reasons: dict[str, str] = {}


class StatedSources(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """All of them; the other fields say in words what no source says."""

    format: str
    sources: tuple[StatedSource, ...]
    jurisdiction: str = ""
    opt_outs: str = ""
    synthetic: str = ""


def parse_stated(body: object) -> StatedSources:
    """A checked list, from a TOML file's tables; a list of sources to train on will do, too.

    Raises: UsageError (malformed, or the rights in a source unknown).
    """
    if isinstance(body, dict) and body.get("format") == LIST_FORMAT:
        return _of_list(parse_sources(body))
    try:
        found = msgspec.convert(body, StatedSources)
    except (msgspec.ValidationError, RecursionError) as error:
        raise UsageError(f"the sources of the base are malformed: {error}", HINT) from error
    if found.format != FORMAT:
        raise UsageError(f"the sources of the base have the format {found.format[:40]!r}, not {FORMAT}", HINT)
    if not 1 <= len(found.sources) <= _MOST_SOURCES:
        raise UsageError(f"list from 1 to {_MOST_SOURCES} sources", HINT)
    if not all(_is_readable(text) for text in (found.jurisdiction, found.opt_outs, found.synthetic)):
        raise UsageError("a statement on the base is too long, or nobody can read it", HINT)
    for number, source in enumerate(found.sources, 1):
        problem = _problem(source)
        if problem:
            raise UsageError(f"source {number}: {problem}", HINT)
    return found


def _of_list(listed: SourceList) -> StatedSources:
    rows = (
        StatedSource(one.title, one.license, one.url or one.path, one.sha256, one.reasons) for one in listed.sources
    )
    return StatedSources(FORMAT, tuple(rows))


def check_license(license_name: str) -> str:
    """The SPDX name of a license that lets adapters be trained and sold. Raises: UsageError."""
    if not _LICENSE.fullmatch(license_name):
        raise UsageError(
            f"{license_name[:60]!r} is no SPDX name of a license", "for example Apache-2.0, or LicenseRef-own"
        )
    parts = license_name.upper().split("-")
    if "NC" in parts or "ND" in parts:
        raise UsageError(
            f"{license_name} forbids selling or changing it", "use a base whose license allows adapters to be sold"
        )
    return license_name


def check_base_name(name: str) -> str:
    """A name that is a file's name, too. Raises: UsageError."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name[:80]!r} is no name of a base model", "use 1 to 64 letters, digits, - _ and .: --name NAME"
        )
    return name


def _problem(source: StatedSource) -> str:
    texts = source.title, source.license, source.place, *source.reasons, *source.reasons.values()
    if not all(_is_readable(text) for text in texts):
        return "it holds a text that is too long, or that nobody can read"
    if not source.title.strip():
        return "a title is needed"
    if source.sha256 and not re.fullmatch(r"[0-9a-f]{64}", source.sha256):
        return "sha256 must be 64 hexadecimal digits"
    return problem_of_rights(source.license, source.reasons)


def _is_readable(text: str) -> bool:
    return len(text) <= _MOST_CHARACTERS and (text.isprintable() or not text)
