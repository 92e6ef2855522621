"""Names and quantities with their units; knows no format beyond its own."""

import re
from datetime import UTC, datetime
from typing import NewType

from viz_node.domain.keccak import keccak
from viz_node.domain.plain_text import shortened
from viz_node.errors import UsageError

Account = NewType("Account", str)
"""EVM address, `0x` and 40 lower-case hex digits (EIP-55 spelling is for people only)."""

PeerId = NewType("PeerId", str)
"""libp2p peer id in base58, as in `12D3Koo…`."""

AdapterId = NewType("AdapterId", str)
"""SHA-256 of the canonical manifest bytes, 64 lower-case hex digits; also what the chain registers."""

WorkId = NewType("WorkId", str)
"""Salted commitment to a work, 64 lower-case hex digits."""

TokenAmount = NewType("TokenAmount", int)
"""Units of the payment token; one token is 10**6 units."""

BasisPoints = NewType("BasisPoints", int)
"""Hundredths of a percent; 10 000 is the whole."""

TOKEN_DECIMALS = 6
COIN_DECIMALS = 18
WHOLE = BasisPoints(10_000)
FOR_EVER = "forever"

_END_OF_CALENDAR = int(datetime.max.replace(tzinfo=UTC).timestamp())
_AMOUNT = re.compile(r"([0-9]+)(?:\.([0-9]+))?")
_MOST_WHOLE_DIGITS = 12
_ACCOUNT = re.compile(r"0x[0-9a-fA-F]{40}")
_PEER_ID = re.compile(r"12D3Koo[1-9A-HJ-NP-Za-km-z]{45}")
_HEX_DIGEST = re.compile(r"[0-9a-f]{64}")


def parse_amount(text: str) -> TokenAmount:
    """Read `5`, `5.00` or `0.000001` tokens, exactly. Raises: UsageError."""
    match, how = _AMOUNT.fullmatch(text.strip()), "write it like 5.00"
    if match is None:
        raise UsageError(f"{shortened(repr(text), 60)} is not an amount", how)
    whole, fraction = match.group(1), match.group(2) or ""
    if len(fraction) > TOKEN_DECIMALS:
        raise UsageError(f"{shortened(text, 60)} has more than {TOKEN_DECIMALS} decimals", how)
    if len(whole) > _MOST_WHOLE_DIGITS:
        most = f"{how}, with at most {_MOST_WHOLE_DIGITS} digits before the point"
        raise UsageError(f"{shortened(text, 60)} is more than any amount", most)
    return TokenAmount(int(whole) * 10**TOKEN_DECIMALS + int(fraction.ljust(TOKEN_DECIMALS, "0")))


def format_amount(amount: int) -> str:
    """Write units as tokens with at least two decimals: 5000000 is `5.00`."""
    whole, fraction = divmod(amount, 10**TOKEN_DECIMALS)
    digits = f"{fraction:0{TOKEN_DECIMALS}d}".rstrip("0").ljust(2, "0")
    return f"{whole}.{digits}"


def format_tokens(amount: int) -> str:
    """An amount in a sentence: `5.00 tokens`."""
    return f"{format_amount(amount)} tokens"


def format_range(low: int, high: int) -> str:
    """Two amounts in a sentence: `5.00 to 5.50 tokens`; one if they are equal."""
    return format_tokens(high) if low == high else f"{format_amount(low)} to {format_tokens(high)}"


def format_coin(wei: int) -> str:
    """Write wei as coins, without trailing zeros: 1500000000000000 is `0.0015`."""
    whole, fraction = divmod(wei, 10**COIN_DECIMALS)
    return f"{whole}.{fraction:0{COIN_DECIMALS}d}".rstrip("0").rstrip(".")


def format_time(time: int) -> str:
    """Write seconds since 1970 in ISO 8601, UTC; a chain counts on where calendars end."""
    return datetime.fromtimestamp(time, UTC).isoformat() if time < _END_OF_CALENDAR else FOR_EVER


def format_moment(time: int) -> str:
    """A time in a sentence: `2026-12-30 23:03 UTC`."""
    return format_time(time)[:16].replace("T", " ") + " UTC" if time < _END_OF_CALENDAR else FOR_EVER


def format_span(seconds: int) -> str:
    """A time span in its largest whole unit: `1 day`, `90 minutes`, `61 seconds`."""
    units = ((86_400, "day"), (3_600, "hour"), (60, "minute"), (1, "second"))
    size, unit = next((size, unit) for size, unit in units if size == 1 or (seconds >= size and seconds % size == 0))
    return f"{seconds // size:,} {unit}{'s' if seconds != size else ''}"


def parse_peer_id(text: str) -> PeerId:
    """Read the id of an Ed25519 peer, as all nodes have. Raises: UsageError."""
    if _PEER_ID.fullmatch(text) is None:
        raise UsageError(f"{text!r} is not a peer id", "it begins with 12D3Koo; see `viz-node id`")
    return PeerId(text)


def parse_account(text: str) -> Account:
    """Read an EVM address; mixed case is a checksum (EIP-55) and must be right. Raises: UsageError."""
    if _ACCOUNT.fullmatch(text) is None:
        raise UsageError(f"{text!r} is not an account", "an account is 0x and 40 hex digits; see `viz-node id`")
    digits = text[2:]
    if digits not in (digits.lower(), digits.upper()) and digits != _with_checksum(digits.lower()):
        raise UsageError(f"{text} has a wrong checksum: a character is mistyped", "copy the account again")
    return Account(text.lower())


def _with_checksum(digits: str) -> str:
    """The EIP-55 spelling of 40 lower-case hex digits: upper case where the digest's digit is 8 or more."""
    digest = keccak(digits.encode()).hex()
    return "".join(char.upper() if int(mark, 16) >= 8 else char for char, mark in zip(digits, digest, strict=False))


def is_hex_digest(text: object) -> bool:
    """Whether it is a SHA-256 digest as 64 lower-case hex digits."""
    return isinstance(text, str) and _HEX_DIGEST.fullmatch(text) is not None
