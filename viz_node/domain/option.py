"""One option of a node's configuration, as people see it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class ShownOption:
    """An option, its value as JSON holds it, and where that comes from; secrets are hidden."""

    option: str
    value: object
    origin: str
