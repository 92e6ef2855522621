"""Titles out of file names, whatever bytes a file system allows."""

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.content.worker import title_of


@pytest.mark.parametrize(
    ("name", "title"),
    [
        (b"the_tide_mill.txt", "the tide mill"),
        (b"gr\xfcn.txt", "gr�n"),
        ("grün.txt".encode(), "grün"),
        (b"\x1b[2J.txt", "[2J"),
        ("\u202e\u200b.txt".encode(), "untitled"),
        (b"a\nb.txt", "a b"),
        (b"x" * 255, "x" * 200),
    ],
)
def test_title_of__file_name__is_one_clean_line(name: bytes, title: str) -> None:
    assert title_of(Path(os.fsdecode(name))) == title


@given(st.binary(min_size=1).filter(lambda name: b"\0" not in name))
def test_title_of__any_bytes__can_be_kept_and_sent(name: bytes) -> None:
    title = title_of(Path(os.fsdecode(name)))
    title.encode()
    assert title == " ".join(title.split())
    assert title
