"""The rules of the ledger, each broken once."""

from typing import Any

import pytest

from viz_node.chain.contract.companions import SplitTable
from viz_node.chain.contract.ledger import PERPETUAL, EntryKind, LedgerEntry
from viz_node.chain.encoding.hashing import split_root
from viz_node.chain.replay import Companions, LedgerReplay, MarketTerms
from viz_node.domain.ids import Account

MARKET = Account("0x" + "ee" * 20)
OWNER, OTHER, BUYER = (Account("0x" + f"{number:02x}" * 20) for number in (1, 2, 3))
SHARES = ((OWNER, 7000), (OTHER, 3000))
TABLE = SplitTable(1, SHARES, 1)
ZERO = bytes(32)
TIMES = {number: 1000 + 10 * (number - 4) for number in range(1, 20)}
SOLD_AT = {number: 1 | TIMES[number] << 32 for number in TIMES}


def entry(
    kind: EntryKind, key: int, who: Account, sequence: int, values: tuple[int, int, int], d: bytes = ZERO
) -> LedgerEntry:
    return LedgerEntry(kind, key, who, sequence, *values, d, sequence, f"0x{sequence:x}", 0)


HISTORY = [
    entry(EntryKind.REGISTERED, 1, OWNER, 1, (11, 12, 0)),
    entry(EntryKind.SPLIT_CREATED, 1, OWNER, 2, (2, 0, 0), split_root(SHARES)),
    entry(EntryKind.OFFER_CREATED, 1, OWNER, 3, (1, 101, 1 | 60 << 32)),
    entry(EntryKind.SOLD, 1, BUYER, 4, (101, SOLD_AT[4], 1060)),
    entry(EntryKind.SOLD, 1, BUYER, 5, (101, SOLD_AT[5], 1120)),
    entry(EntryKind.CLAIMED, 1, OTHER, 6, (60, 60, 3000)),
]


def replay_of(
    entries: list[LedgerEntry], tables: tuple[SplitTable, ...] = (TABLE,), terms: MarketTerms | None = None
) -> LedgerReplay:
    replay = LedgerReplay(MARKET, terms or MarketTerms(), Companions(tables), TIMES)
    replay.run(entries)
    return replay


def changed(position: int, **fields: Any) -> list[LedgerEntry]:
    return [*HISTORY[:position], HISTORY[position]._replace(**fields), *HISTORY[position + 1 :]]


def test_replay__honest_history__has_no_findings_and_the_right_state() -> None:
    replay = replay_of(HISTORY)
    assert replay.findings == []
    split = replay.splits.by_id[1]
    assert (split.accrued, split.paid, split.due(OWNER), split.due(OTHER)) == (202, 60, 141, 0)
    assert replay.licenses.expiry == {(1, BUYER): 1120}
    assert replay.owed == 142


@pytest.mark.parametrize(
    ("entries", "check"),
    [
        (HISTORY[:3] + HISTORY[4:], "C1"),
        ([HISTORY[1], HISTORY[0], *HISTORY[2:]], "C1"),
        (changed(5, kind=9), "C1"),
        (changed(3, a=100), "C6"),
        (changed(3, key=9), "C6"),
        (changed(2, who=OTHER), "C6"),
        (changed(2, c=7), "C6"),
        (changed(2, b=0), "C6"),
        (changed(0, key=2), "C6"),
        ([*HISTORY, HISTORY[0]._replace(key=2, sequence=7, block_number=7)], "C6"),
        (changed(3, b=2 | TIMES[4] << 32), "C3"),
        (changed(3, b=1 | 999 << 32), "C7"),
        (changed(3, c=1061), "C7"),
        (changed(5, a=61, b=61), "C4"),
        (changed(5, b=61), "C4"),
        (changed(5, c=7000), "C4"),
        (changed(5, who=BUYER), "C4"),
        (changed(5, kind=EntryKind.PASSED_ON), "C4"),
        (changed(5, a=203, b=203), "C3"),
        (changed(1, d=ZERO), "C4"),
        (changed(1, a=3), "C4"),
        ([*HISTORY[:3], entry(EntryKind.WITHDRAWN, 1, OTHER, 4, (1, 0, 0))], "C11"),
        ([*HISTORY[:3], entry(EntryKind.PAUSED, 0, OTHER, 4, (0, 0, 0)), HISTORY[3]._replace(sequence=5)], "C11"),
        ([*HISTORY[:3], entry(EntryKind.REDEEMED, 1, OTHER, 4, (5, 1, 1))], "C8"),
        ([*HISTORY[:3], entry(EntryKind.SETTLED, 1, OTHER, 4, (5, 1, 1))], "C9"),
        ([*HISTORY[:3], entry(EntryKind.POOL_CLAIMED, 1, OTHER, 4, (5, 1, 5))], "C10"),
    ],
)
def test_replay__one_rule_broken__is_a_finding(entries: list[LedgerEntry], check: str) -> None:
    assert check in {finding.check for finding in replay_of(entries).findings}


@pytest.mark.parametrize(
    "tables",
    [
        (),
        (SplitTable(1, ((OWNER, 7000), (OTHER, 3001)), 1),),
        (SplitTable(1, SHARES[::-1], 1),),
        (SplitTable(1, (), 1),),
    ],
)
def test_replay__wrong_table__is_a_finding(tables: tuple[SplitTable, ...]) -> None:
    assert "C4" in {finding.check for finding in replay_of(HISTORY, tables).findings}


def test_replay__platform_below_its_fee__is_a_finding() -> None:
    findings = replay_of(HISTORY, terms=MarketTerms(platform=OTHER, platform_fee=3001)).findings
    assert [(finding.check, finding.sequence) for finding in findings] == [("C4", 2)]


def test_replay__perpetual_license_sold_twice__is_a_finding() -> None:
    perpetual = [HISTORY[2]._replace(c=1), *(sale._replace(c=PERPETUAL) for sale in HISTORY[3:5])]
    findings = replay_of([*HISTORY[:2], *perpetual]).findings
    assert [(finding.check, finding.sequence) for finding in findings] == [("C7", 5)]


def test_replay__moving_price_and_a_time_that_runs_back__is_a_finding() -> None:
    days = [200 * 86_400, 100 * 86_400]
    sales = [HISTORY[3 + n]._replace(b=1 | day << 32, c=day + 60) for n, day in enumerate(days)]
    moving = HISTORY[2]._replace(c=1 | 60 << 32 | 100 << 72 | 5 << 88)
    times = TIMES | {4: days[0], 5: days[1]}
    replay = LedgerReplay(MARKET, MarketTerms(), Companions((TABLE,)), times)
    replay.run([*HISTORY[:2], moving, *sales])
    assert "C7" in {finding.check for finding in replay.findings}
