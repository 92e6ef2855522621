"""Names and amounts as people write them."""

import pytest

from viz_node.domain.hub import parse_hub_model
from viz_node.domain.ids import (
    FOR_EVER,
    TokenAmount,
    format_amount,
    format_coin,
    format_span,
    format_time,
    format_tokens,
    parse_account,
    parse_amount,
    parse_peer_id,
)
from viz_node.errors import UsageError

# The examples of EIP-55.
CHECKSUMMED = ("0x5aAeb6053F3E94C9b9A09f33669435E7Ef1BeAed", "0xfB6916095ca1df60bB79Ce92cE3Ea74c37c5d359")


@pytest.mark.parametrize("text", CHECKSUMMED)
def test_parse_account__checksum_right_or_absent__lower_case(text: str) -> None:
    assert parse_account(text) == parse_account(text.lower()) == parse_account("0x" + text[2:].upper()) == text.lower()


@pytest.mark.parametrize("text", CHECKSUMMED)
def test_parse_account__one_letter_in_the_other_case__refused(text: str) -> None:
    for place, char in enumerate(text[2:], 2):
        if char.isalpha():
            with pytest.raises(UsageError, match="wrong checksum"):
                parse_account(text[:place] + char.swapcase() + text[place + 1 :])


@pytest.mark.parametrize(
    "text", ["", "0x", "0x" + "1" * 39, "0x" + "1" * 41, "0x" + "g" * 40, "1" * 42, "0X" + "1" * 40]
)
def test_parse_account__malformed__refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not an account"):
        parse_account(text)


@pytest.mark.parametrize(("text", "units"), [("5", 5_000_000), ("0.000001", 1), (" 5.10 ", 5_100_000)])
def test_parse_amount__exact(text: str, units: int) -> None:
    assert parse_amount(text) == units
    assert parse_amount(format_amount(units)) == units


@pytest.mark.parametrize(
    ("text", "why"),
    [
        *((text, "is not an amount") for text in ("", "-1", "1e3", "1,5", "NaN", "5.", "½", "٣", "x" * 9999)),
        ("0.0000001", "has more than 6 decimals"),
        ("1" * 13, "is more than any amount"),
        ("1" * 9999, "is more than any amount"),
    ],
)
def test_parse_amount__malformed__says_what_is_wrong(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why) as caught:
        parse_amount(text)
    assert (caught.value.hint.startswith("write it like 5.00"), len(caught.value.message) < 130) == (True, True)


@pytest.mark.parametrize("name", ["a", "a/b", "a/b@main", f"a/../b@{'0' * 40}", f"a/b@{'0' * 39}", f"a/b@{'A' * 40}"])
def test_parse_hub_model__not_pinned__refused(name: str) -> None:
    with pytest.raises(UsageError, match="is not a pinned model"):
        parse_hub_model(f"hf:{name}")


@pytest.mark.parametrize(
    ("wei", "text"), [(0, "0"), (1, "0.000000000000000001"), (15 * 10**14, "0.0015"), (10**19, "10")]
)
def test_format_coin__exact_without_trailing_zeros(wei: int, text: str) -> None:
    assert format_coin(wei) == text


@pytest.mark.parametrize(
    ("time", "text"),
    [
        (1_767_225_600, "2026-01-01T00:00:00+00:00"),
        (253_402_300_799, "9999-12-31T23:59:59+00:00"),
        (253_402_300_800, FOR_EVER),
        (2**256 - 1, FOR_EVER),
    ],
)
def test_format_time__up_to_the_end_of_the_calendar_and_beyond(time: int, text: str) -> None:
    assert format_time(time) == text


def test_parse_peer_id__ed25519_peer_and_nothing_else() -> None:
    peer = "12D3Koo" + "W" * 45
    assert parse_peer_id(peer) == peer
    for text in ("", "12D3Koo", peer[:-1], peer + "W", peer[:-1] + "0", "Qm" + "a" * 44, peer + "\n"):
        with pytest.raises(UsageError, match="is not a peer id"):
            parse_peer_id(text)


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 seconds"),
        (1, "1 second"),
        (61, "61 seconds"),
        (60, "1 minute"),
        (5400, "90 minutes"),
        (7200, "2 hours"),
        (86400, "1 day"),
        (2592000, "30 days"),
    ],
)
def test_format_span__seconds__in_the_largest_whole_unit(seconds: int, shown: str) -> None:
    assert format_span(seconds) == shown


def test_format_tokens__amount__has_decimals_and_its_unit() -> None:
    assert [format_tokens(TokenAmount(units)) for units in (0, 1, 5_000_000)] == [
        "0.00 tokens",
        "0.000001 tokens",
        "5.00 tokens",
    ]
