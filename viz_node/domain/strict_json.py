"""JSON of strangers: UTF-8, no half characters, no key twice, no NaN, and nesting bounded before the decoder.

The decoder recurses on the C stack.
"""

import json
import re
from typing import Any, NoReturn

MAX_JSON_DEPTH = 32
# A text is skipped whole, ended or not: brackets within texts must not hide the nesting outside them.
_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")
_TEXT_OR_BRACKET = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{\]}]', re.DOTALL)


def parse_json(raw: bytes, max_depth: int = MAX_JSON_DEPTH, may_hold_halves: bool = False) -> Any:
    """The value in `raw`; `may_hold_halves` lets escaped surrogates pass, for a caller that judges them.

    Raises: ValueError.
    """
    depth = 0
    for token in _TEXT_OR_BRACKET.finditer(raw):
        first = raw[token.start()]
        depth += (first in b"[{") - (first in b"]}")
        if depth > max_depth:
            raise ValueError("nested too deeply")
    value = json.loads(raw.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant)
    if not may_hold_halves and _HALF_CHARACTER.search(raw):
        json.dumps(value, ensure_ascii=False).encode()  # UnicodeEncodeError is a ValueError
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    if len(body) != len(pairs):
        raise ValueError("a key stands twice")
    return body


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")
