"""The one parser of strangers' JSON."""

import sys

import pytest

from viz_node.domain.strict_json import MAX_JSON_DEPTH, parse_json


def test_parse_json__ordinary_object__read() -> None:
    assert parse_json(b'{"a": [1, {"b": null}]}') == {"a": [1, {"b": None}]}


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"a":1,"a":2}', "twice"),
        (b"[NaN]", "not a JSON number"),
        (b"[-Infinity]", "not a JSON number"),
        (b"\xff", "it is not UTF-8 text"),
        (b"", "it is empty"),
        (b"[1", "it is not JSON"),
        (b'["' + b"]" * 500 + b'", ' + b"[" * 200, "nested too deeply"),
        (b'"' + b'\\"' * 500_000, "it is not JSON"),
    ],
)
def test_parse_json__not_strict__refused(raw: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        parse_json(raw)


def test_parse_json__brackets_within_texts__are_no_nesting() -> None:
    assert parse_json(b'["' + b"[" * 500 + b'"]') == ["[" * 500]


def test_parse_json__nesting__bounded_whatever_the_recursion_limit() -> None:
    deepest = b"[" * MAX_JSON_DEPTH + b"]" * MAX_JSON_DEPTH
    assert parse_json(deepest)

    sys.setrecursionlimit(10**6)

    with pytest.raises(ValueError, match="nested too deeply"):
        parse_json(b"[" * 200_000)


def test_parse_json__half_characters__refused_unless_the_caller_judges_them() -> None:
    assert parse_json(rb'["\ud83d\ude00", "\\ud800"]') == ["\U0001f600", r"\ud800"]
    with pytest.raises(ValueError, match="half a character"):
        parse_json(rb'{"a": ["x\uDCfc"]}')
    assert parse_json(rb'["\udcfc"]', may_hold_halves=True) == ["\udcfc"]
