# SPDX-License-Identifier: Apache-2.0
"""Writes what a run of mutants found: a page for people, and a table of every mutant."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isnan, nan, sqrt
from pathlib import Path

from mutants import MONEY_PATHS, Mutant

LEAST_SCORE = 0.95
PAGE = "MUTATION.md"
TABLE = Path("mutation") / "results.tsv"
ANSWERS = Path("mutation") / "answers.toml"
# Outcome and test of a mutant, by its id.
Outcomes = Mapping[str, tuple[str, str]]


@dataclass
class Tally:
    """The mutants of one contract by what became of them; a mutant that never ends is killed by that."""

    mutants: int = 0
    uncompilable: int = 0
    killed: int = 0
    answered: list[Mutant] = field(default_factory=list)
    open: list[Mutant] = field(default_factory=list)

    @property
    def survived(self) -> int:
        return len(self.answered) + len(self.open)

    @property
    def judged(self) -> int:
        return self.uncompilable + self.killed + self.survived

    @property
    def raw_score(self) -> float:
        return _share(self.killed, self.killed + self.survived)

    @property
    def score(self) -> float:
        return _share(self.killed, self.killed + len(self.open))

    def __add__(self, other: "Tally") -> "Tally":
        return Tally(
            self.mutants + other.mutants,
            self.uncompilable + other.uncompilable,
            self.killed + other.killed,
            self.answered + other.answered,
            self.open + other.open,
        )


@dataclass(frozen=True)
class Report:
    """Everything that the page and the table show."""

    mutants: list[Mutant]
    outcomes: Outcomes
    answers: Mapping[str, str]

    def tallies(self) -> dict[str, Tally]:
        """Returns the tally of each contract."""
        tallies = {contract: Tally() for contract in MONEY_PATHS}
        for mutant in self.mutants:
            tally = tallies[mutant.contract]
            tally.mutants += 1
            outcome = self.outcomes.get(mutant.id, ("", ""))[0]
            if outcome == "uncompilable":
                tally.uncompilable += 1
            elif outcome in ("killed", "timeout"):
                tally.killed += 1
            elif outcome == "survived":
                (tally.answered if mutant.id in self.answers else tally.open).append(mutant)
        return tallies

    def total(self) -> Tally:
        return sum(self.tallies().values(), Tally())

    def write(self, contracts: Path, facts: Mapping[str, str]) -> None:
        """Writes the page and the table below `contracts`. `facts` are the page's lines about the run, by name."""
        (contracts / TABLE).parent.mkdir(exist_ok=True)
        rows = ["id\tcontract\tline\toperator\toutcome\tnoticed by\n"]
        for mutant in self.mutants:
            if mutant.id in self.outcomes:
                outcome, test = self.outcomes[mutant.id]
                rows.append(f"{mutant.id}\t{mutant.contract}\t{mutant.line}\t{mutant.operator}\t{outcome}\t{test}\n")
        (contracts / TABLE).write_text("".join(rows))
        (contracts / PAGE).write_text(self._page(facts))

    def _page(self, facts: Mapping[str, str]) -> str:
        total = self.total()
        lines = [INTRODUCTION.format(least=f"{LEAST_SCORE:.0%}")]
        lines += [f"- {name}: {value}" for name, value in facts.items()]
        if total.judged < total.mutants:
            low, high = _interval(total.killed, total.killed + len(total.open))
            none = [contract for contract, tally in self.tallies().items() if tally.judged == 0]
            lines.append(
                f"- **Not all**: {total.judged} of {total.mutants} mutants were judged, random ones in each contract, "
                f"not in proportion to its size. None of: {', '.join(none) or '–'}."
            )
            lines.append(
                f"- 95 % confidence for a sample of this size: {low:.1%} to {high:.1%}. Tests are written for the "
                "survivors that a run shows, so what was not judged may do worse."
            )
        lines += [
            "",
            "| contract | mutants | judged | do not compile | killed | survived | answered | raw score | score |",
        ]
        lines.append("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
        lines += [_row(contract, tally) for contract, tally in self.tallies().items()]
        lines += [_row("**all**", total), "", "## Survivors", ""]
        for contract, tally in self.tallies().items():
            survivors = sorted(tally.answered + tally.open, key=lambda mutant: (mutant.start, mutant.id))
            if survivors:
                lines += [f"### {contract}", "", "| line | change | answer |", "| ---: | --- | --- |"]
                lines += [self._survivor(mutant) for mutant in survivors] + [""]
        return "\n".join(lines).rstrip("\n") + "\n"

    def _survivor(self, mutant: Mutant) -> str:
        answer = self.answers.get(mutant.id, "**open**")
        return f"| {mutant.line} | {_code(mutant.old)} → {_code(mutant.new)} | {answer} |"


INTRODUCTION = """# What the contracts' tests notice

`make mutation` changes the sources of the money paths in one place at a time, builds them, and runs the unit and fuzz
tests. A change that makes no test fail has survived. At least {least} must be noticed. The score leaves out the
survivors that no test can notice, each answered below (`mutation/answers.toml`); the raw score counts them.
`mutation/results.tsv` has every mutant that was judged.

The changes are those of slither-mutate; the replacements of an operator between two sides, most of which do not compile
as it writes them, are made anew (`script/mutants.py`). Gas gates, code size and invariants are not among the tests that
judge: the score is a lower bound.
"""


def load_answers(contracts: Path) -> dict[str, str]:
    """Returns why no test can notice a mutant, by its id."""
    tables = tomllib.loads((contracts / ANSWERS).read_text())
    return {identity: answer for table in tables.values() for identity, answer in table.items()}


def stale_answers(report: Report) -> list[str]:
    """Returns the ids of answers to mutants that are gone, or that a test notices."""
    survivors = {one for one, (outcome, _) in report.outcomes.items() if outcome == "survived"}
    judged = set(report.outcomes)
    known = {mutant.id for mutant in report.mutants}
    return [one for one in report.answers if one not in known or (one in judged and one not in survivors)]


def _row(name: str, tally: Tally) -> str:
    counts = (tally.mutants, tally.judged, tally.uncompilable, tally.killed, tally.survived, len(tally.answered))
    scores = ["–" if isnan(share) else f"{share:.1%}" for share in (tally.raw_score, tally.score)]
    cells = [name, *map(str, counts), *scores]
    return "| " + " | ".join(cells) + " |"


def _share(part: int, whole: int) -> float:
    return part / whole if whole else nan


def _interval(part: int, whole: int) -> tuple[float, float]:
    """Returns Wilson's interval of 95 % for a share of which a sample is known."""
    if whole == 0:
        return 0.0, 1.0
    z, share = 1.96, part / whole
    middle = share + z * z / (2 * whole)
    width = z * sqrt(share * (1 - share) / whole + z * z / (4 * whole * whole))
    return (middle - width) / (1 + z * z / whole), (middle + width) / (1 + z * z / whole)


def _code(text: str) -> str:
    shown = " ".join(text.split()).replace("|", "\\|")
    return f"`{shown}`" if shown else "(nothing)"
