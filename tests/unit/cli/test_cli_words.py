"""Values as people read them."""

import pytest

from viz_node.cli.words import cell, flattened, tokens


@pytest.mark.parametrize(
    ("name", "value", "shown"),
    [
        ("", None, "-"),
        ("", True, "yes"),
        ("", 1, "1"),
        ("", 1.23456, "1.235"),
        ("", ["a", 2], "a, 2"),
        ("", {"tx_hash": "v"}, "tx hash v"),
        ("title", "a\nb\u2028c\x1b", "a b c�"),
        ("price", "5.00", "5.00 tokens"),
        ("price", "-", "-"),
        ("amount", "+2.00", "+2.00 tokens"),
        ("balances.token", "1000.00", "1000.00 tokens"),
        ("gas", "0.0015", "0.0015 coins"),
        ("evaluation.tokens", 648, "648"),
        ("share", "97.00", "97.00 %"),
        ("adapters_share", 70, "70 %"),
        ("added", 1796068052, "2026-11-30 19:47:32 UTC"),
        ("expires", 10**15, "forever"),
        ("expires", "2026-11-30T19:47:56+00:00", "2026-11-30 19:47:56 UTC"),
        ("started", 12, "12"),
        ("size_bytes", 123456, "123,456 bytes"),
        ("files", [{"size_bytes": 12}], "size 12 bytes"),
        ("updated", 1796079793, "2026-11-30 23:03:13 UTC"),
        ("veto_window_seconds", 86400, "1 day"),
        ("periods", [0, 1], "#0, #1"),
    ],
)
def test_cell__field__value_with_unit(name: str, value: object, shown: str) -> None:
    assert cell(value, name) == shown


def test_tokens__amount__unit() -> None:
    assert tokens("5.00") == "5.00 tokens"


def test_flattened__nested__dotted_names() -> None:
    assert flattened({"a": 1, "b": {"c": {"d": 2}}}) == [("a", 1), ("b.c.d", 2)]
