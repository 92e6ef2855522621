"""Foreign text made plain."""

import json
import unicodedata

from hypothesis import given
from hypothesis import strategies as st

from viz_node.domain.plain_text import LINE_LIMIT, one_line, plain_json, several_lines

CHARACTERS = st.text(st.characters(exclude_categories=()), max_size=200)
HARMLESS = {"Lu", "Ll", "Lt", "Lm", "Lo", "Mn", "Mc", "Me", "Nd", "Nl", "No", "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po",
            "Sm", "Sc", "Sk", "So"}  # fmt: skip


def is_harmless(text: str) -> bool:
    return all(char == " " or unicodedata.category(char) in HARMLESS for char in text)


@given(CHARACTERS)
def test_one_line__any_text__harmless_and_of_the_same_length(text: str) -> None:
    assert is_harmless(one_line(text))
    assert len(one_line(text)) == len(text)


@given(CHARACTERS)
def test_several_lines__any_text__harmless_but_for_line_ends(text: str) -> None:
    assert is_harmless(several_lines(text).replace("\n", ""))


@given(st.recursive(CHARACTERS, lambda inner: st.lists(inner) | st.dictionaries(CHARACTERS, inner), max_leaves=9))
def test_plain_json__any_document__same_meaning_and_harmless(data: object) -> None:
    document = plain_json(json.dumps(data, ensure_ascii=False, indent=2))
    assert json.loads(document) == json.loads(json.dumps(data))
    assert is_harmless(document.replace("\n", ""))


def test_one_line__kinds_of_attack__shown_as_they_are() -> None:
    assert one_line("a\x1b[2J\x9b1m\u202eb\ud800\tc\r\nd\u2028e\x85f\u2066g\x00") == "a�[2J�1m�b� c  d e f�g�"
    assert one_line("Größe 漢字 \N{GRINNING FACE} a\u00a0b") == "Größe 漢字 \N{GRINNING FACE} a b"


def test_one_line__too_long__says_how_much_is_missing() -> None:
    assert one_line("x" * (LINE_LIMIT + 1234)) == "x" * LINE_LIMIT + "… (1,234 more characters)"


def test_several_lines__tabs_and_foreign_line_ends__kept_as_text() -> None:
    assert several_lines("a\tb\r\nc\x1b\u2028d") == "a       b\nc� d"
