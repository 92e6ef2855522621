"""The name of a model on a model hub, always pinned to one commit."""

import re
from dataclasses import dataclass

from viz_node.errors import UsageError

PREFIX = "hf:"
_PART = r"[A-Za-z0-9](?:[\w.-]{0,94}\w)?"
_PINNED = re.compile(rf"{PREFIX}({_PART}/{_PART})@([0-9a-f]{{40}})", re.ASCII)


@dataclass(frozen=True)
class HubModel:
    """A repository `owner/name` at a commit of 40 hex digits."""

    repository: str
    commit: str

    def __str__(self) -> str:
        return f"{PREFIX}{self.repository}@{self.commit}"

    def folder_name(self) -> str:
        """A file name that no other model has."""
        return f"{self.repository.replace('/', '--')}@{self.commit}"


def is_hub_name(name: str | None) -> bool:
    """Whether a base model's name means a model hub."""
    return name is not None and name.startswith(PREFIX)


def parse_hub_model(text: str) -> HubModel:
    """Read `hf:<owner>/<name>@<commit>`; a branch or a tag will not do, because it may move. Raises: UsageError."""
    match = _PINNED.fullmatch(text)
    if match is None or ".." in text or "--" in text.partition("@")[0]:
        raise UsageError(f"{text!r} is not a pinned model", "write hf:<owner>/<name>@<40 hex digits of a commit>")
    return HubModel(match.group(1), match.group(2))
