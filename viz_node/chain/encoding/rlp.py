"""Recursive Length Prefix (Yellow Paper, appendix B): strict decoding of strangers' bytes, and encoding."""

from typing import Any

Item = Any
"""Bytes, or a list of items."""

MAX_DEPTH = 16


def decode(data: bytes) -> Item:
    """The one item that the bytes hold. Raises: ValueError when they are not its only encoding."""
    item, end = _item(data, 0, MAX_DEPTH)
    if end != len(data):
        raise ValueError("bytes follow the item")
    return item


def encode(item: Item) -> bytes:
    """The encoding of bytes, or of a list of items."""
    if isinstance(item, bytes):
        return item if len(item) == 1 and item[0] < 0x80 else _length(len(item), 0x80) + item
    body = b"".join(encode(part) for part in item)
    return _length(len(body), 0xC0) + body


def quantity(value: int) -> bytes:
    """A number as RLP wants it: big-endian, without leading zeros."""
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


def _length(size: int, offset: int) -> bytes:
    if size < 56:
        return bytes([offset + size])
    digits = quantity(size)
    return bytes([offset + 55 + len(digits)]) + digits


def _item(data: bytes, start: int, depth: int) -> tuple[Item, int]:
    if start >= len(data) or depth == 0:
        raise ValueError("the item is cut off or too deep")
    first = data[start]
    if first < 0x80:
        return data[start : start + 1], start + 1
    offset = 0x80 if first < 0xC0 else 0xC0
    begin, end = _span(data, start, first - offset)
    if offset == 0x80:
        if end - begin == 1 and data[begin] < 0x80:
            raise ValueError("a small byte has a prefix")
        return data[begin:end], end
    items: list[Item] = []
    place = begin
    while place < end:
        item, place = _item(data, place, depth - 1)
        items.append(item)
    if place != end:
        raise ValueError("an item reaches past its list")
    return items, end


def _span(data: bytes, start: int, size: int) -> tuple[int, int]:
    begin = start + 1
    if size >= 56:
        digits = data[begin : begin + size - 55]
        begin, size = begin + size - 55, int.from_bytes(digits, "big")
        if size < 56 or digits[0] == 0:
            raise ValueError("a length is not written in its shortest form")
    if begin + size > len(data):
        raise ValueError("the item is cut off")
    return begin, begin + size
