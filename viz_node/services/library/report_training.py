"""Reports of trainings: sealed as works are, since they quote them, and shown to the owner only."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from viz_node.domain.records import AdapterRecord
from viz_node.domain.report import (
    NO_EFFECT,
    Measured,
    TextEffect,
    TrainingReport,
    WorkEffect,
    draw_curve,
    parse_report,
    written_report,
)
from viz_node.domain.work import Work
from viz_node.errors import NotFoundError, StorageError
from viz_node.ports.keys import SealBytes
from viz_node.ports.state import Adapters

Works: TypeAlias = Sequence[tuple[Work, str]]
"""Works with their texts."""


@dataclass(frozen=True)
class ShownReport:
    """A report and its picture, as SVG."""

    report: TrainingReport
    curve: str


class Reports:
    """One sealed file per adapter in `directory`."""

    def __init__(self, adapters: Adapters, directory: Path, sealing: SealBytes) -> None:
        self._adapters, self._directory, self._sealing = adapters, directory, sealing

    def keep(self, record: AdapterRecord, works: Works, held_out: Sequence[str], measured: Measured) -> None:
        """Store what the training of this adapter did, in one step.

        Raises: StorageError.
        """
        own = sum(measured.own, NO_EFFECT)
        effects = effects_by_work(works, held_out, measured.own)
        report = TrainingReport(
            record.name,
            record.base_name,
            record.created,
            dict(record.training),
            own,
            measured.general,
            effects,
            measured.samples,
            measured.curve,
        )
        path = self._path(record.name)
        partial = path.with_suffix(".partial")
        try:
            with partial.open("wb") as file:
                partial.chmod(0o600)
                file.write(self._sealing.seal(written_report(report)))
                file.flush()
                os.fsync(file.fileno())
            partial.replace(path)
        except OSError as error:
            raise StorageError(f"cannot write the report: {error.strerror}", "free some disk space") from error

    def show(self, adapter: str) -> ShownReport:
        """The report of this adapter's training. Raises: NotFoundError, VerificationError."""
        record = self._adapters.find_adapter(adapter)
        try:
            sealed = self._path(record.name).read_bytes()
        except FileNotFoundError:
            raise _missing(record) from None
        report = parse_report(self._sealing.open(sealed))
        # An adapter of this name may have been removed, and another made.
        if report.created != record.created:
            raise _missing(record)
        return ShownReport(report, draw_curve(report.curve))

    def _path(self, name: str) -> Path:
        return self._directory / f"{name}.sealed"


def effects_by_work(works: Works, held_out: Sequence[str], effects: Sequence[TextEffect]) -> tuple[WorkEffect, ...]:
    """The effect on what was held out of each work; a held-out text is part of the work that has its first paragraph.

    Texts beyond those that were measured count for nothing.
    """
    first = {_paragraphs(text)[0]: effect for text, effect in zip(held_out, effects, strict=False) if text.strip()}
    found = []
    for work, text in works:
        own = NO_EFFECT
        for paragraph in _paragraphs(text):
            # Popped, so that a text which stands in two works counts once.
            own += first.pop(paragraph, NO_EFFECT)
        found.append(WorkEffect(str(work.work_id), work.title, work.characters, own))
    return tuple(found)


def _paragraphs(text: str) -> list[str]:
    return [paragraph for paragraph in (part.strip() for part in text.split("\n\n")) if paragraph]


def _missing(record: AdapterRecord) -> NotFoundError:
    return NotFoundError(
        f"there is no report on {record.name}",
        "the node reports on the trainings of this version and later ones: train it again",
    )
