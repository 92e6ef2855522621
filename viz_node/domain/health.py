"""One finding about a node's health, as `doctor`, `status` and `/readyz` show it."""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Health(StrEnum):
    """`warn` limits what the node can do, `fail` keeps it from doing what it is for."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True)
class Check:
    """One check: its name, its outcome, and the next step if it failed."""

    check: str
    state: Health
    detail: str
    fix: str = ""


@dataclass(frozen=True)
class Findings:
    """Failed checks in words: problems keep a node from its work, warnings limit it."""

    problems: list[str]
    warnings: list[str]


def well(name: str, detail: str) -> Check:
    """All right."""
    return Check(name, Health.OK, detail)


def warned(name: str, detail: str, fix: str) -> Check:
    """It limits what the node can do."""
    return Check(name, Health.WARN, detail, fix)


def failed(name: str, detail: str, fix: str) -> Check:
    """It keeps the node from doing what it is for."""
    return Check(name, Health.FAIL, detail, fix)


def sentences(checks: Iterable[Check]) -> Findings:
    """The checks that are not well, in words."""
    told = Findings([], [])
    for found in checks:
        if found.state is not Health.OK:
            (told.problems if found.state is Health.FAIL else told.warnings).append(f"{found.check}: {found.detail}")
    return told
