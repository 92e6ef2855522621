"""A bound on nesting, checked before JSON of a stranger is decoded: the decoder recurses on the C stack."""

import re

MAX_JSON_DEPTH = 32
_BRACKET = re.compile(rb"[\[{\]}]")


def check_json_depth(raw: bytes) -> None:
    """Raises: ValueError when the brackets nest deeper than any message of ours; those within texts count too."""
    depth = 0
    for bracket in _BRACKET.finditer(raw):
        depth += 1 if bracket.group() in b"[{" else -1
        if depth > MAX_JSON_DEPTH:
            raise ValueError("nested too deeply")
