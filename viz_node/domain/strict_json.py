"""JSON of strangers: UTF-8, no half characters, no key twice, no NaN, and nesting bounded before the decoder.

The decoder recurses on the C stack.
"""

import json
import re
from typing import Any, NoReturn

from viz_node.errors import UsageError

MAX_JSON_DEPTH = 32
# A text is skipped whole, ended or not: brackets within texts must not hide the nesting outside them.
_HALF_CHARACTER = re.compile(rb"\\u[dD][89a-fA-F]")
_TEXT_OR_BRACKET = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"?|[\[{\]}]', re.DOTALL)


class MalformedError(ValueError):
    """Bytes are not what they should be; the text says why, in words for people."""


def why_malformed(error: Exception) -> str:
    """Why a parser failed, in our words: what a library or the interpreter says is for programmers."""
    if isinstance(error, MalformedError | UsageError):
        return str(error)
    return "its fields are not those that it should have"


def parse_json(raw: bytes, max_depth: int = MAX_JSON_DEPTH, may_hold_halves: bool = False) -> Any:
    """The value in `raw`; `may_hold_halves` lets escaped surrogates pass, for a caller that judges them.

    Raises: MalformedError.
    """
    depth = 0
    for token in _TEXT_OR_BRACKET.finditer(raw):
        first = raw[token.start()]
        depth += (first in b"[{") - (first in b"]}")
        if depth > max_depth:
            raise MalformedError("it is nested too deeply")
    return _decoded(raw, may_hold_halves)


def _decoded(raw: bytes, may_hold_halves: bool) -> object:
    try:
        value = json.loads(raw.decode(), object_pairs_hook=_object, parse_constant=_refuse_constant)
        if not may_hold_halves and _HALF_CHARACTER.search(raw):
            json.dumps(value, ensure_ascii=False).encode()
    except MalformedError:
        raise
    except UnicodeDecodeError as error:
        raise MalformedError("it is not UTF-8 text") from error
    except UnicodeEncodeError as error:
        raise MalformedError("it holds half a character") from error
    except ValueError as error:
        lines = error.lineno if isinstance(error, json.JSONDecodeError) else 1
        line = f" (line {lines})" if lines > 1 else ""
        raise MalformedError(f"it is not JSON{line}" if raw.strip() else "it is empty") from error
    return value


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    body = dict(pairs)
    if len(body) != len(pairs):
        raise MalformedError("a key stands twice")
    return body


def _refuse_constant(name: str) -> NoReturn:
    raise MalformedError(f"{name} is not a JSON number")
