"""Whatever a file system or a stranger calls a thing, UTF-8 can carry it in the end."""

import os

from hypothesis import given
from hypothesis import strategies as st

from viz_node.domain.names import is_readable, readable, without_escaped_bytes

ANY_TEXT = st.text(st.characters(exclude_categories=()))


@given(ANY_TEXT)
def test_readable__any_text__encodes_and_ordinary_text_is_unchanged(text: str) -> None:
    made = readable(text)
    made.encode()
    assert len(made) == len(text)
    assert (made == text) == is_readable(text)


@given(st.binary())
def test_without_escaped_bytes__any_file_name__has_only_text_left(name: bytes) -> None:
    assert is_readable(without_escaped_bytes(os.fsdecode(name)))
