"""What is known of a base model: statements with their source, and the verdict on what it was trained on."""

from typing import Literal, TypeAlias

import msgspec

Verdict: TypeAlias = Literal["certified", "documented", "claimed", "unknown"]
"""What stands behind the rights in what a base was trained on, from the most to nothing.

`certified`: an independent body examined the records of all of it. `documented`: each source is published with its
license or legal basis, so that anyone can look. `claimed`: somebody says so. `unknown`: nobody says anything.
"""

UNKNOWN: Verdict = "unknown"


class Statement(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing that is said of a base, in our words: `about` what, and `source`, where it is said."""

    about: str
    text: str
    source: str


class CatalogueBase(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A base model that can be installed by name.

    `repository` on the model hub is empty for the one of this package. `commit` is the revision that somebody looked
    up, as `commit_source` says, or empty: then people who install it must find one. `embedded` of the `parameters` are
    the input embedding, which stays unquantized. `download_bytes` and both counts are rounded. `unusable` says why it
    cannot be installed as it is published, and `access` what its publisher asks for first.
    """

    name: str
    publisher: str
    repository: str
    commit: str
    commit_source: str
    license: str
    parameters: int
    embedded: int
    download_bytes: int
    context_tokens: int
    languages: str
    verdict: Verdict
    reason: str
    statements: tuple[Statement, ...]
    access: str = ""
    unusable: str = ""

    def full_name(self, commit: str = "") -> str:
        """The name to install it by from the hub, at the known revision or another one; its own name without one."""
        revision = commit or self.commit
        return f"hf:{self.repository}@{revision}" if self.repository and revision else self.name


class Assessment(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The verdict on an installed base with its reason; `entry` is its name in the catalogue, if it is in there."""

    verdict: Verdict
    reason: str
    statements: tuple[Statement, ...] = ()
    entry: str = ""
