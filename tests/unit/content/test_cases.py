"""Files as strangers had them: each is read right, or refused with the reason and the way out."""

from pathlib import Path

import pytest

from viz_node.content.readers import ReadText, read_text
from viz_node.errors import VerificationError

CASES = Path(__file__).parents[2] / "cases" / "content"


def read(name: str, encoding: str = "") -> ReadText:
    path = CASES / name
    return read_text(path.suffix, path.read_bytes(), encoding)


def test_markdown_that_begins_with_a_rule__both_poems() -> None:
    found = read("starts_with_rule.md")
    assert "First poem" in found.text
    assert "Second poem" in found.text
    assert found.notes == ()


def test_html_that_declares_1251__cyrillic() -> None:
    found = read("declared_1251.html")
    assert found.title == "Маяк"
    assert found.text.startswith("Маяк стоял на скале")


def test_utf8_with_one_bad_byte__the_rest_stays_and_the_byte_is_named() -> None:
    found = read("one_bad_byte.txt")
    assert "Der Wärter zählte Schiffe – „grün“" in found.text
    assert found.text.count("�") == 1
    assert found.notes == ("1 stray byte, not UTF-8, became �; the first is 0xFF at 1120",)


def test_shift_jis__refused_with_candidates_and_right_when_said() -> None:
    with pytest.raises(VerificationError, match=r"not certain \(could be .*cp932.*say it: --encoding NAME"):
        read("shift_jis.txt")
    assert read("shift_jis.txt", "shift_jis").text.startswith("灯台守は霧が戻るまで")


def test_strict_docx__read() -> None:
    assert read("strict.docx").text == "The bell in the harbour rang twice."


def test_docx_with_footnote_move_and_hidden_text__as_printed() -> None:
    found = read("footnote_move_hidden.docx")
    assert found.text == "The keeper wrote the name.\n\nThe gull slept.\n\nA ledger of 1811, kept in the tower."
    assert found.notes == (
        "1 footnote at the end of the text",
        "left out: tracked move (taken at its new place) (1 place)",
        "left out: hidden text (1 place)",
    )


def test_pdf_with_permissions_only__read_with_a_note() -> None:
    found = read("permissions_only.pdf")
    assert found.text == "The keeper counted ships.\nHe wrote each name."
    assert "opens without a password" in found.notes[0]


def test_pdf_without_character_map__refused() -> None:
    with pytest.raises(VerificationError, match="no character map"):
        read("no_tounicode.pdf")


def test_strike_tag__characters_of_the_text() -> None:
    assert "<s>12</s> 9 coins" in read("strike_tag.md").text
