"""One finding about a node's health, as `doctor`, `status` and `/readyz` show it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum
from typing import Any


class Health(StrEnum):
    """`warn` limits what the node can do, `fail` keeps it from doing what it is for."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """What was looked at, how it is, and the next step if it is not well."""

    name: str
    state: Health
    detail: str
    fix: str = ""

    def to_row(self) -> dict[str, Any]:
        """As data: `{"check", "state", "detail", "fix"}`."""
        return {"check": self.name, "state": str(self.state), "detail": self.detail, "fix": self.fix}


def well(name: str, detail: str) -> Check:
    """All right."""
    return Check(name, Health.OK, detail)


def warned(name: str, detail: str, fix: str) -> Check:
    """It limits what the node can do."""
    return Check(name, Health.WARN, detail, fix)


def failed(name: str, detail: str, fix: str) -> Check:
    """It keeps the node from doing what it is for."""
    return Check(name, Health.FAIL, detail, fix)


def sentences(checks: Iterable[Check]) -> dict[str, list[str]]:
    """What is not well, in words: `problems` that fail, and `warnings`."""
    told: dict[str, list[str]] = {"problems": [], "warnings": []}
    for check in checks:
        if check.state is not Health.OK:
            told["problems" if check.state is Health.FAIL else "warnings"].append(f"{check.name}: {check.detail}")
    return told
