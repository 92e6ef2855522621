"""ABI encoding and strict decoding of the types that the market uses; knows no contract.

Types are written as in a function's signature, tuples as `(uint64,address[])`. A value is an integer, a boolean, a
lower-case `0x` account, 32 bytes, `bytes`, a text, or a sequence for a list or a tuple. Decoding accepts only what
encoding writes: no gaps, no overlaps, no bits beyond a type, nothing behind the end. So it takes linear time, and two
different answers never mean the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

WORD = 32


@dataclass(frozen=True)
class Type:
    """`name` is that of a word, `string`, `bytes`, `tuple` (of `parts`) or `list` (of the one part)."""

    name: str
    parts: tuple["Type", ...] = ()

    @property
    def is_dynamic(self) -> bool:
        """Whether the head holds an offset instead of the value."""
        return self.name in ("list", "string", "bytes") or any(part.is_dynamic for part in self.parts)

    @property
    def head_size(self) -> int:
        """Bytes that the type takes in the head."""
        if self.is_dynamic or self.name != "tuple":
            return WORD
        return sum(part.head_size for part in self.parts)


@cache
def parse_type(text: str) -> Type:
    """Read a type. Raises: ValueError for one that the market does not use."""
    if text.endswith("[]"):
        return Type("list", (parse_type(text[:-2]),))
    if text.startswith("(") and text.endswith(")"):
        return Type("tuple", tuple(parse_type(part) for part in _split(text[1:-1])))
    bits = text.removeprefix("uint")
    if text in ("address", "bool", "bytes32", "string", "bytes") or (text != bits and bits.isdecimal()):
        return Type(text)
    raise ValueError(f"type {text} is not used by the market")


def encode(types: Sequence[str], values: Sequence[Any]) -> bytes:
    """Encode values of these types. Raises: ValueError for a value or a count that does not fit."""
    return _encode_parts([parse_type(text) for text in types], values)


def decode(types: Sequence[str], data: bytes) -> list[Any]:
    """The values that `encode` wrote. Raises: ValueError for anything else."""
    values, end = _decode_parts([parse_type(text) for text in types], data, 0)
    if end != len(data):
        raise ValueError(f"{len(data) - end} bytes too many")
    return values


def _split(text: str) -> list[str]:
    parts, depth = [""], 0
    for char in text:
        depth += (char == "(") - (char == ")")
        if char == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def _encode_parts(kinds: Sequence[Type], values: Sequence[Any]) -> bytes:
    if len(kinds) != len(values):
        raise ValueError(f"{len(kinds)} values expected, {len(values)} given")
    heads, tails = [], []
    position = sum(kind.head_size for kind in kinds)
    for kind, value in zip(kinds, values, strict=True):
        encoded = _encode(kind, value)
        if kind.is_dynamic:
            heads.append(position.to_bytes(WORD, "big"))
            tails.append(encoded)
            position += len(encoded)
        else:
            heads.append(encoded)
    return b"".join(heads + tails)


def _encode(kind: Type, value: Any) -> bytes:
    if kind.name == "tuple":
        return _encode_parts(kind.parts, value)
    if kind.name == "list":
        return len(value).to_bytes(WORD, "big") + _encode_parts(kind.parts * len(value), value)
    if kind.name in ("string", "bytes"):
        raw = value.encode() if kind.name == "string" else bytes(value)
        return len(raw).to_bytes(WORD, "big") + raw + bytes(-len(raw) % WORD)
    return _encode_word(kind.name, value)


def _encode_word(name: str, value: Any) -> bytes:
    if name in ("address", "bytes32"):
        raw = bytes.fromhex(value[2:]) if name == "address" else bytes(value)
        if len(raw) != (20 if name == "address" else WORD):
            raise ValueError(f"{name} needs {20 if name == 'address' else WORD} bytes")
        return raw.rjust(WORD, b"\0")
    if not 0 <= value < 1 << _bits(name):
        raise ValueError(f"{value} does not fit {name}")
    return int(value).to_bytes(WORD, "big")


def _decode_parts(kinds: Sequence[Type], data: bytes, start: int) -> tuple[list[Any], int]:
    """The values of a head at `start` with its tail, and where that ends."""
    values, head = [], start
    end = start + sum(kind.head_size for kind in kinds)
    if end > len(data):
        raise ValueError("the data ends too early")
    for kind in kinds:
        if kind.is_dynamic:
            if _number(data, head) != end - start:
                raise ValueError("an offset is not where its value must begin")
            value, end = _decode_dynamic(kind, data, end)
        elif kind.name == "tuple":
            value, _ = _decode_parts(kind.parts, data, head)
            value = tuple(value)
        else:
            value = _decode_word(kind.name, data[head : head + WORD])
        values.append(value)
        head += kind.head_size
    return values, end


def _decode_dynamic(kind: Type, data: bytes, start: int) -> tuple[Any, int]:
    if kind.name == "tuple":
        values, end = _decode_parts(kind.parts, data, start)
        return tuple(values), end
    count, start = _number(data, start), start + WORD
    if kind.name == "list":
        if count * kind.parts[0].head_size > len(data) - start:
            raise ValueError("a list reaches past the end of the data")
        return _decode_parts(kind.parts * count, data, start)
    end = start + count + -count % WORD
    if end > len(data) or any(data[start + count : end]):
        raise ValueError("a text reaches past the end of the data, or has no clean end")
    raw = data[start : start + count]
    return (raw.decode() if kind.name == "string" else raw), end


def _decode_word(name: str, word: bytes) -> Any:
    if name == "bytes32":
        return word
    number = int.from_bytes(word, "big")
    if number >> _bits(name):
        raise ValueError(f"{number} does not fit {name}")
    if name == "address":
        return f"0x{number:040x}"
    return bool(number) if name == "bool" else number


def _number(data: bytes, position: int) -> int:
    if position + WORD > len(data):
        raise ValueError("the data ends too early")
    return int.from_bytes(data[position : position + WORD], "big")


def _bits(name: str) -> int:
    if name == "address":
        return 160
    return 1 if name == "bool" else int(name.removeprefix("uint"))
