"""Rows and facts within a terminal's width: nothing is cut, and nothing that can be broken runs over."""

import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from viz_node.cli.layout import columns_of, fact_lines, table_lines

DIGEST = "cd" * 32
WORDS = st.text(alphabet="abc漢字é ", max_size=150).map(str.strip)
TABLES = st.integers(1, 8).flatmap(lambda count: st.lists(st.lists(WORDS, min_size=count, max_size=count), max_size=4))


def squeezed(text: str) -> str:
    return "".join(unicodedata.normalize("NFC", text).split())


@given(TABLES, st.integers(40, 120))
def test_table_lines__any_cells__within_the_width_and_all_there(rows: list[list[str]], width: int) -> None:
    titles = [f"column {number}" for number in range(len(rows[0]) if rows else 3)]
    lines = table_lines(titles, rows, width)
    for line in lines:
        assert columns_of(line) <= width or " " not in line.strip(), line
    shown = squeezed(" ".join(lines))
    for row in rows:
        assert all(squeezed(cell) in shown for cell in row), (row, lines)


def test_table_lines__only_one_column_left_and_too_wide__its_cells_are_broken() -> None:
    wide = "漢" * 10
    rows = [["b" * 21 + wide, f"{'a' * 20} {wide}"]]
    assert table_lines(("one", "two"), rows, 40) == ["two", "a" * 20, wide, "  one", f"    {rows[0][0]}"]


def test_table_lines__id_and_long_text__below_their_row() -> None:
    lines = table_lines(("id", "name", "terms"), [(DIGEST, "elsin", "only in Austria " * 6), ("-", "", "none")], 80)
    assert lines[:3] == ["name", "elsin", f"  id     {DIGEST}"]
    assert lines[3].startswith("  terms  only in Austria")
    assert lines[4].startswith("         Austria only")
    assert lines[5:] == ["", "  terms  none"]
    assert all(columns_of(line) <= 80 for line in lines)


def test_table_lines__wide_characters__columns_stay_aligned() -> None:
    lines = table_lines(("title", "price"), [("漢字", "5"), ("abcd", "6")], 80)
    assert lines[1:] == ["漢字   5", "abcd   6"]


def test_fact_lines__value_too_long_for_its_name__stands_below() -> None:
    assert fact_lines([("base_model.digest", DIGEST), ("a", "b")], 80) == [
        "base_model.digest",
        f"  {DIGEST}",
        "a                  b",
    ]
    account = "0x" + "ab" * 20
    assert fact_lines([(account, "97")], 80) == [f"{account}  97"]
