"""Wire formats: what is written is read back, and a stranger's bytes raise VerificationError only."""

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.errors import (
    LicenseRequiredError,
    PeerUnreachableError,
    StorageError,
    UsageError,
    VerificationError,
    VizNodeError,
)
from viz_node.p2p import wire


@given(st.text(min_size=1, max_size=30), st.binary(max_size=200))
def test_parse_request__written_request__same(method: str, payload: bytes) -> None:
    assert wire.parse_request(wire.request_body(method, payload)) == (method, payload)


@given(st.lists(st.binary(max_size=50), max_size=20), st.booleans())
def test_parse_page__written_page__same(entries: list[bytes], more: bool) -> None:
    assert wire.parse_page(wire.page_body(entries, more)) == (entries, more)


@given(st.integers(min_value=0, max_value=2**32 - 1))
def test_parse_page_request__written__same(offset: int) -> None:
    assert wire.parse_page_request(wire.page_request(offset)) == offset


@given(st.binary(max_size=300))
def test_parsers__any_bytes__verification_error_or_a_value(raw: bytes) -> None:
    for parse in (wire.parse_request, wire.parse_page, wire.parse_page_request, wire.parse_length):
        with contextlib.suppress(VerificationError):
            parse(raw)
    with contextlib.suppress(VizNodeError):
        wire.parse_reply(raw)
    with contextlib.suppress(VizNodeError):
        wire.parse_reply(b"\x01" + raw)


def test_parse_reply__known_error__same_class_message_and_hint() -> None:
    with pytest.raises(LicenseRequiredError) as raised:
        wire.parse_reply(wire.error_body(LicenseRequiredError("no\x1b[2J", "buy")))
    assert (raised.value.message, raised.value.hint) == ("no [2J", "buy")


def test_parse_reply__error_that_must_not_travel__peer_unreachable() -> None:
    with pytest.raises(PeerUnreachableError, match="disk"):
        wire.parse_reply(wire.error_body(StorageError("the disk is full")))


def test_frame__over_the_limit__refused_both_ways() -> None:
    with pytest.raises(UsageError):
        wire.frame(bytes(wire.MAX_FRAME_BYTES + 1))
    with pytest.raises(VerificationError):
        wire.parse_length((wire.MAX_FRAME_BYTES + 1).to_bytes(4, "big"))
