"""What a training did, for its owner: curves, effects on texts, samples. It quotes works and stays on the node."""

import math
from collections.abc import Sequence

import msgspec

from viz_node.domain.line_chart import Line, draw_lines
from viz_node.errors import VerificationError

REPORT_VERSION = 1
MOST_POINTS = 400


class CurvePoint(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The mean loss per token (natural logarithm) after so many steps: while training, and on held-out text."""

    step: int
    loss: float | None = None
    held_out: float | None = None


class TextEffect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The loss summed over `tokens` tokens of a text: of the base model alone, and with the adapter."""

    tokens: int
    base: float
    adapter: float

    @property
    def perplexities(self) -> tuple[float, float]:
        """Of the base model alone, and with the adapter; at most e^20. Zero tokens have the perplexity 1."""
        tokens = max(1, self.tokens)
        return math.exp(min(self.base / tokens, 20)), math.exp(min(self.adapter / tokens, 20))

    def __add__(self, other: "TextEffect") -> "TextEffect":
        return TextEffect(self.tokens + other.tokens, self.base + other.base, self.adapter + other.adapter)


NO_EFFECT = TextEffect(0, 0.0, 0.0)


class SampleText(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the base model alone and the adapter write on from the same words of a held-out text."""

    prompt: str
    base: str
    adapter: str


class Measured(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a worker measured after a training: `own` has one effect for each held-out text, in their order."""

    own: tuple[TextEffect, ...] = ()
    general: TextEffect = NO_EFFECT
    samples: tuple[SampleText, ...] = ()
    curve: tuple[CurvePoint, ...] = ()


class WorkEffect(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What was learnt from one work: how much of it was trained on, and the effect on what was held out of it."""

    work_id: str
    title: str
    characters: int
    held_out: TextEffect


class TrainingReport(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One training. `general` is a text of nobody's works, in English, that shows what the base model forgot."""

    adapter: str
    base: str
    created: int
    training: dict[str, int | str]
    own: TextEffect
    general: TextEffect
    works: tuple[WorkEffect, ...]
    samples: tuple[SampleText, ...]
    curve: tuple[CurvePoint, ...]
    version: int = REPORT_VERSION


def written_report(report: TrainingReport) -> bytes:
    """The report as it is stored."""
    return msgspec.json.encode(report)


def parse_report(raw: bytes) -> TrainingReport:
    """A stored report. Raises: VerificationError."""
    try:
        return msgspec.json.decode(raw, type=TrainingReport)
    except msgspec.MsgspecError as error:
        raise VerificationError("the report is damaged", "restore a backup, or train again") from error


def report_of(body: object) -> TrainingReport:
    """A report as a node's API shows it. Raises: VerificationError."""
    try:
        return msgspec.convert(body, TrainingReport)
    except msgspec.MsgspecError as error:
        raise VerificationError("the node's answer is no report", "update viz-node") from error


def thinned(points: Sequence[CurvePoint], most: int = MOST_POINTS) -> tuple[CurvePoint, ...]:
    """At most `most` points and those with a held-out loss: neighbours become one with their mean training loss."""
    size = math.ceil(len(points) / most) if points else 1
    found = []
    for start in range(0, len(points), size):
        group = points[start : start + size]
        losses = [point.loss for point in group if point.loss is not None]
        held_out = [point.held_out for point in group if point.held_out is not None]
        loss = sum(losses) / len(losses) if losses else None
        found.append(CurvePoint(group[-1].step, loss, held_out[-1] if held_out else None))
    return tuple(found)


def draw_curve(curve: Sequence[CurvePoint]) -> str:
    """The training's losses as an SVG picture."""
    training = [(point.step, point.loss) for point in curve if point.loss is not None]
    held_out = [(point.step, point.held_out) for point in curve if point.held_out is not None]
    lines = [Line("training", training), Line("held-out text", held_out, has_dots=True)]
    return draw_lines("Loss while training", "step", "loss per token", lines)
