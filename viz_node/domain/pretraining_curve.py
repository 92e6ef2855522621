"""How a base learned, drawn from its provenance: what `base train` writes down as it goes."""

from collections.abc import Mapping

from viz_node.domain.line_chart import Line, draw_lines

_MOST_POINTS = 400


def draw_pretraining(provenance: Mapping[str, object]) -> str:
    """The loss per token while training, and the bits per character of held-out texts, as an SVG picture.

    Empty if the provenance has neither; points of no known form are left out.
    """
    loss, held_out = _points(provenance.get("losses")), _points(provenance.get("held_out_curve"))
    if not loss and not held_out:
        return ""
    lines = [
        Line("training, loss per token", loss),
        Line("held-out texts, bits per character", held_out, has_dots=True),
    ]
    return draw_lines("How the base model learned", "step", "loss, bits", lines)


def _points(rows: object) -> list[tuple[float, float]]:
    """Rows of a step and a decimal text, at most `_MOST_POINTS` of them."""
    if not isinstance(rows, list):
        return []
    found = []
    for row in rows[:: max(1, len(rows) // _MOST_POINTS)]:
        try:
            step, value = row
            found.append((float(step), float(value)))
        except (TypeError, ValueError):
            continue
    return found
