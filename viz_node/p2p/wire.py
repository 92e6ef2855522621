"""The bytes of viz-node's own peer protocols: frames, requests, replies, catalogue pages and tunnel openings; no I/O.

A frame is its length as a big-endian 32-bit number and then that many bytes. A request frame holds the method's name
(16-bit length) and the payload; a reply frame holds a status byte and then the payload, or the error as JSON. All of it
comes from strangers: parsers raise VerificationError and nothing else (kept true by tests/unit/p2p/test_wire.py).
"""

import json
import struct
from typing import Any, Final

from viz_node.domain.strict_json import parse_json
from viz_node.errors import (
    DeadlineError,
    InsufficientFundsError,
    InvalidSplitError,
    LicenseRequiredError,
    NotFoundError,
    PeerUnreachableError,
    PriceAboveLimitError,
    RefusedError,
    TransactionRevertedError,
    UsageError,
    VerificationError,
    VizNodeError,
)

MAX_FRAME_BYTES: Final = 1 << 20
MAX_NAME_BYTES: Final = 128
MAX_ENTRY_BYTES: Final = 4096
MAX_PAGE_ENTRIES: Final = 200

_STATUS_OK: Final = 0
_STATUS_ERROR: Final = 1
_LENGTH = struct.Struct(">I")
_SHORT = struct.Struct(">H")
_PAGE = struct.Struct(">I")
PAGE_REQUEST_BYTES: Final = _PAGE.size

# A stranger must not be able to raise the errors that stop this node (StorageError) or speak about it (LockedError).
_TRAVELLING: Final[dict[str, type[VizNodeError]]] = {
    cls.__name__: cls
    for cls in (
        UsageError,
        InvalidSplitError,
        VerificationError,
        RefusedError,
        PriceAboveLimitError,
        LicenseRequiredError,
        TransactionRevertedError,
        InsufficientFundsError,
        NotFoundError,
        DeadlineError,
    )
}


def frame(body: bytes) -> bytes:
    """The body with its length in front. Raises: UsageError (over 1 MiB)."""
    if len(body) > MAX_FRAME_BYTES:
        raise UsageError(f"a message of {len(body)} bytes is over the limit of {MAX_FRAME_BYTES}", "share it as a blob")
    return _LENGTH.pack(len(body)) + body


def parse_length(header: bytes, max_bytes: int = MAX_FRAME_BYTES) -> int:
    """The length that a frame announces. Raises: VerificationError (over the limit)."""
    if len(header) != _LENGTH.size:
        raise VerificationError("a frame's header is cut short")
    length: int = _LENGTH.unpack(header)[0]
    if length > max_bytes:
        raise VerificationError(f"a peer announced a message of {length} bytes")
    return length


def request_body(method: str, payload: bytes) -> bytes:
    """The body of a request frame. Raises: UsageError (the method's name is empty or over 128 bytes)."""
    name = method.encode()
    if not 0 < len(name) <= MAX_NAME_BYTES:
        raise UsageError(f"{method!r} is not a method name")
    return _SHORT.pack(len(name)) + name + payload


def parse_request(body: bytes) -> tuple[str, bytes]:
    """Read (method, payload). Raises: VerificationError."""
    if len(body) < _SHORT.size:
        raise VerificationError("a request is cut short")
    length = _SHORT.unpack_from(body)[0]
    end = _SHORT.size + length
    if not 0 < length <= MAX_NAME_BYTES or len(body) < end:
        raise VerificationError("a request's method name is malformed")
    try:
        return body[_SHORT.size : end].decode(), body[end:]
    except UnicodeDecodeError as error:
        raise VerificationError("a request's method name is not text") from error


def reply_body(payload: bytes) -> bytes:
    """The body of a reply frame for a request that went well."""
    return bytes([_STATUS_OK]) + payload


def error_body(error: VizNodeError) -> bytes:
    """The body of a reply frame for a failed request: class, message and hint."""
    body = {"error": type(error).__name__, "message": error.message[:500], "hint": error.hint[:500]}
    return bytes([_STATUS_ERROR]) + json.dumps(body, sort_keys=True).encode()


def parse_reply(body: bytes) -> bytes:
    """The payload of a reply.

    Raises: the peer's error as its own class when that class may travel, PeerUnreachableError for any other error of
    the peer, VerificationError when the reply is malformed.
    """
    if not body or body[0] not in (_STATUS_OK, _STATUS_ERROR):
        raise VerificationError("a reply has no known status")
    if body[0] == _STATUS_OK:
        return body[1:]
    name, message, hint = _parse_error(body[1:])
    cls = _TRAVELLING.get(name, PeerUnreachableError)
    raise cls(message, hint)


def _parse_error(raw: bytes) -> tuple[str, str, str]:
    try:
        body: Any = parse_json(raw)
        fields = [body["error"], body["message"], body["hint"]]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise VerificationError("a peer's error is malformed") from error
    if not all(isinstance(text, str) and len(text) <= 500 for text in fields):
        raise VerificationError("a peer's error is malformed")
    # Shown on a terminal later: control characters could rewrite what stands there.
    name, message, hint = ("".join(c if c.isprintable() else " " for c in text) for text in fields)
    return name, message or "the peer refused without a reason", hint


def page_request(offset: int) -> bytes:
    """Ask for the catalogue from this position on."""
    return _PAGE.pack(offset)


def parse_page_request(body: bytes) -> int:
    """The position asked for. Raises: VerificationError."""
    if len(body) != _PAGE.size:
        raise VerificationError("a catalogue request is malformed")
    offset: int = _PAGE.unpack(body)[0]
    return offset


def page_body(entries: list[bytes], more: bool) -> bytes:
    """A catalogue page; at most 200 entries of at most 4096 bytes fit one frame."""
    return bytes([more]) + b"".join(_SHORT.pack(len(entry)) + entry for entry in entries)


def parse_page(body: bytes) -> tuple[list[bytes], bool]:
    """Read (entries, whether there is more). Raises: VerificationError."""
    if not body or body[0] > 1:
        raise VerificationError("a catalogue page has no known status")
    entries: list[bytes] = []
    position = 1
    while position < len(body):
        if position + _SHORT.size > len(body):
            raise VerificationError("a catalogue page is cut short")
        length = _SHORT.unpack_from(body, position)[0]
        position += _SHORT.size
        if length > MAX_ENTRY_BYTES or position + length > len(body) or len(entries) == MAX_PAGE_ENTRIES:
            raise VerificationError("a catalogue entry is malformed")
        entries.append(body[position : position + length])
        position += length
    return entries, bool(body[0])
