"""The rules of the ledger, each broken once."""

from dataclasses import replace

import pytest

from viz_node.chain.hashing import split_root
from viz_node.chain.ledger import PERPETUAL, EntryKind, LedgerEntry, SplitTable, Transfer
from viz_node.chain.replay import LedgerReplay, compare_transfers
from viz_node.domain.ids import Account

MARKET = Account("0x" + "ee" * 20)
OWNER, OTHER, BUYER = (Account(f"0x{number:040x}") for number in (1, 2, 3))
SHARES = ((OWNER, 7000), (OTHER, 3000))
TABLE = SplitTable(1, SHARES, 1)
ZERO = bytes(32)
TIMES = {4: 1000, 5: 1010, 6: 1020}


def entry(
    kind: EntryKind, key: int, who: Account, sequence: int, values: tuple[int, int, int], d: bytes
) -> LedgerEntry:
    return LedgerEntry(kind, key, who, sequence, *values, d, sequence, f"0x{sequence:x}", 0)


HISTORY = [
    entry(EntryKind.REGISTERED, 1, OWNER, 1, (11, 12, 0), ZERO),
    entry(EntryKind.SPLIT_CREATED, 1, OWNER, 2, (2, 0, 0), split_root(SHARES)),
    entry(EntryKind.OFFER_CREATED, 1, OWNER, 3, (1, 101, 1 | 60 << 32), ZERO),
    entry(EntryKind.SOLD, 1, BUYER, 4, (101, 1, 1060), ZERO),
    entry(EntryKind.SOLD, 1, BUYER, 5, (101, 1, 1120), ZERO),
    entry(EntryKind.CLAIMED, 1, OTHER, 6, (60, 60, 3000), ZERO),
]


def replay_of(entries: list[LedgerEntry], tables: tuple[SplitTable, ...] = (TABLE,)) -> LedgerReplay:
    replay = LedgerReplay(tables, TIMES)
    for item in entries:
        replay.apply(item)
    return replay


def changed(position: int, **fields: object) -> list[LedgerEntry]:
    return [*HISTORY[:position], replace(HISTORY[position], **fields), *HISTORY[position + 1 :]]


def test_replay__honest_history__has_no_findings_and_the_right_state() -> None:
    replay = replay_of(HISTORY)
    assert replay.findings == []
    split = replay.splits[1]
    assert (split.accrued, split.paid, split.due(OWNER), split.due(OTHER)) == (202, 60, 141, 0)
    assert replay.licenses == {(1, BUYER): 1120}


@pytest.mark.parametrize(
    ("entries", "check"),
    [
        (HISTORY[:3] + HISTORY[4:], "sequence"),
        ([HISTORY[1], HISTORY[0], *HISTORY[2:]], "sequence"),
        (changed(3, a=100), "price"),
        (changed(3, b=2), "sale"),
        (changed(3, c=1061), "expiry"),
        (changed(3, key=9), "sale"),
        (changed(5, a=61, b=61), "claim"),
        (changed(5, b=61), "claim"),
        (changed(5, c=7000), "claim"),
        (changed(5, who=BUYER), "claim"),
        (changed(5, a=203, b=203), "solvency"),
        (changed(5, kind=6), "kind"),
        (changed(2, who=OTHER), "offer"),
        (changed(2, c=7), "offer"),
        (changed(2, b=0), "offer"),
        (changed(1, d=ZERO), "split table"),
        (changed(1, a=3), "split table"),
        (changed(0, key=2), "registration"),
        ([*HISTORY, replace(HISTORY[0], key=2, sequence=7, block_number=7)], "registration"),
    ],
)
def test_replay__one_rule_broken__is_a_finding(entries: list[LedgerEntry], check: str) -> None:
    assert check in {finding.check for finding in replay_of(entries).findings}


@pytest.mark.parametrize(
    "tables",
    [
        (),
        (TABLE, TABLE),
        (SplitTable(1, ((OWNER, 7000), (OTHER, 3001)), 1),),
        (SplitTable(1, SHARES[::-1], 1),),
        (SplitTable(1, (), 1),),
    ],
)
def test_replay__wrong_table__is_a_finding(tables: tuple[SplitTable, ...]) -> None:
    assert "split table" in {finding.check for finding in replay_of(HISTORY, tables).findings}


def test_replay__perpetual_license_sold_twice__is_a_finding() -> None:
    perpetual = [replace(HISTORY[2], c=1), *(replace(sale, c=PERPETUAL) for sale in HISTORY[3:5])]
    findings = replay_of([*HISTORY[:2], *perpetual]).findings
    assert [(finding.check, finding.sequence) for finding in findings] == [("sale", 5)]


def test_compare_transfers__every_kind_of_difference__is_told_apart() -> None:
    replay = replay_of(HISTORY)
    paid_in = [Transfer(BUYER, MARKET, 101, "0x4"), Transfer(BUYER, MARKET, 101, "0x5")]
    paid_out = [Transfer(MARKET, OTHER, 60, "0x6")]
    assert compare_transfers(replay, paid_in + paid_out, MARKET) == ([], 0)
    assert compare_transfers(replay, [*paid_in, *paid_out, Transfer(OTHER, MARKET, 9, "0x9")], MARKET) == ([], 9)
    for transfers in (paid_in[:1] + paid_out, paid_in, [*paid_in, *paid_out, Transfer(MARKET, OTHER, 1, "0x9")]):
        findings, _ = compare_transfers(replay, transfers, MARKET)
        assert [finding.check for finding in findings] == ["transfer"]
