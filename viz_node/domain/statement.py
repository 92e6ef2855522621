"""A royalty statement: every payment into the splits of an account, its part of each, and every payment out.

Each line names its ledger entry, so that a replay of the ledger can check it. A part is what the contract's
rounded-down total grows by with this payment, so that the parts add up to what can be claimed.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from viz_node.domain.ids import WHOLE, BasisPoints, TokenAmount
from viz_node.errors import UsageError


@dataclass(frozen=True)
class SplitMovement:
    """A payment into a split, or out of it to the account; `sequence` is that of the ledger's entry."""

    sequence: int
    time: int
    what: str
    split_id: int
    amount: TokenAmount
    is_claim: bool
    tx_hash: str


@dataclass(frozen=True)
class StatementLine:
    """A movement with the account's part of it: earned for a payment in, taken for a claim."""

    movement: SplitMovement
    share: BasisPoints
    earned: TokenAmount
    taken: TokenAmount


def statement(movements: Iterable[SplitMovement], shares: Mapping[int, BasisPoints]) -> list[StatementLine]:
    """Lines in ledger order; `shares` are the account's by split, and `movements` begin with the ledger."""
    accrued: dict[int, int] = defaultdict(int)
    lines = []
    for item in sorted(movements, key=lambda item: item.sequence):
        share, before = shares[item.split_id], accrued[item.split_id]
        if item.is_claim:
            lines.append(StatementLine(item, share, TokenAmount(0), item.amount))
            continue
        accrued[item.split_id] = after = before + item.amount
        earned = after * share // WHOLE - before * share // WHOLE
        lines.append(StatementLine(item, share, TokenAmount(earned), TokenAmount(0)))
    return lines


def parse_period(text: str) -> tuple[int, int]:
    """First second of `2026-11` or `2026` in UTC, and the first after it. Raises: UsageError."""
    year, dash, month = text.partition("-")
    try:
        if not (
            text.isascii()
            and year.isdecimal()
            and len(year) == 4
            and (not dash or (month.isdecimal() and len(month) == 2))
        ):
            raise ValueError("not a period")
        first = datetime(int(year), int(month or 1), 1, tzinfo=UTC)
        is_last = not dash or first.month == 12
        end = first.replace(year=first.year + 1, month=1) if is_last else first.replace(month=first.month + 1)
    except ValueError as error:
        raise UsageError(f"{text!r} is not a month or a year", "--period 2026-11") from error
    return int(first.timestamp()), int(end.timestamp())
