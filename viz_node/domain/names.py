"""Texts that come from file systems, files and strangers, made fit to be kept and sent; knows no terminal."""

import re
from typing import NewType

FilePath = NewType("FilePath", str)
"""A path as `os.fsdecode` gives it: bytes that are not UTF-8 stand in it as lone surrogates U+DC80 to U+DCFF."""

_LONE_SURROGATE = re.compile("[\ud800-\udfff]")
_ESCAPED_BYTE = re.compile("[\udc80-\udcff]")


def readable(text: str) -> str:
    """The text with `�` for every character that no UTF-8 can carry; all answers and pages go through here."""
    return _LONE_SURROGATE.sub("\ufffd", text)


def is_readable(text: str) -> bool:
    """Whether UTF-8 can carry the text."""
    return _LONE_SURROGATE.search(text) is None


def without_escaped_bytes(path: str) -> str:
    """The `FilePath` without its bytes that are not UTF-8."""
    return _ESCAPED_BYTE.sub("", path)
