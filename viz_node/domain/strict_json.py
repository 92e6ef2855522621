"""JSON of strangers: UTF-8, no key twice, no NaN, nesting bounded before the decoder, which recurses on the C stack."""

import json
import re
from typing import Any, NoReturn

MAX_JSON_DEPTH = 32
# A text is skipped whole, ended or not: brackets within texts must not hide the nesting outside them.
_TEXT_OR_BRACKET = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{\]}]', re.DOTALL)


def parse_json(raw: bytes, max_depth: int = MAX_JSON_DEPTH) -> Any:
    """The value in `raw`. Raises: ValueError."""
    depth = 0
    for token in _TEXT_OR_BRACKET.finditer(raw):
        first = raw[token.start()]
        depth += (first in b"[{") - (first in b"]}")
        if depth > max_depth:
            raise ValueError("nested too deeply")
    return json.loads(raw.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    if len(body) != len(pairs):
        raise ValueError("a key stands twice")
    return body


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
