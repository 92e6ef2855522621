"""The rules of pools in the ledger, each broken once."""

from typing import Any

import pytest

from tests.unit.chain.replay.test_replay import BUYER, MARKET, OTHER, OWNER, SHARES, TABLE, entry
from viz_node.chain.contract.companions import PoolData
from viz_node.chain.contract.ledger import EntryKind, LedgerEntry
from viz_node.chain.encoding.hashing import split_root
from viz_node.chain.replay import Companions, LedgerReplay, MarketTerms
from viz_node.chain.replay.pools import ADOPTED, DAY_SECONDS, LAPSED
from viz_node.domain.pool import CREDIT_SECONDS, LAPSE_SECONDS, SILENCE_SECONDS

FEE, WINDOW, START = 7, 600, 1_000
POSTED = START + 2 * DAY_SECONDS
ADOPTED_AT = POSTED + WINDOW
UNTIL = ADOPTED_AT + CREDIT_SECONDS
SILENT = START + 4 * DAY_SECONDS + SILENCE_SECONDS
TIMES = dict(enumerate((START, START, START, POSTED, ADOPTED_AT, UNTIL - 1, UNTIL, UNTIL, SILENT), 1))
ROOT, DIGEST = b"\3" * 32, b"\4" * 32
HOLDER, PAYER = int(BUYER, 16), int(OTHER, 16)
POST = (2 * FEE, 1 << 64 | ADOPTED_AT << 128, int.from_bytes(DIGEST))

HISTORY = [
    entry(EntryKind.SPLIT_CREATED, 1, OWNER, 1, (2, 0, 0), split_root(SHARES)),
    entry(EntryKind.POOL_CREATED, 1, OWNER, 2, (FEE, DAY_SECONDS | START << 32, PAYER)),
    entry(EntryKind.SUBSCRIBED, 1, BUYER, 3, (3 * FEE, 0b1011 << 64, PAYER)),
    entry(EntryKind.ROOT_POSTED, 1, OWNER, 4, POST, ROOT),
    entry(EntryKind.ROOT_ADOPTED, 1, OWNER, 5, (2 * FEE, UNTIL, 1), ROOT),
    entry(EntryKind.POOL_CLAIMED, 1, OWNER, 6, (5, 1, 1), ROOT),
    entry(EntryKind.REST_REFUNDED, 1, OTHER, 7, (5, 0, HOLDER), ROOT),
    entry(EntryKind.REST_REFUNDED, 1, OTHER, 8, (4, 1, HOLDER), ROOT),
    entry(EntryKind.PERIOD_REFUNDED, 1, OTHER, 9, (FEE, 3, HOLDER)),
]


def replay_of(entries: list[LedgerEntry], times: dict[int, int] | None = None) -> LedgerReplay:
    data = PoolData(1, ROOT, DIGEST, "x")
    companions = Companions((TABLE,), pool_data=(data,))
    replay = LedgerReplay(MARKET, MarketTerms(veto_window=WINDOW), companions, TIMES | (times or {}))
    replay.run(entries)
    return replay


def changed(place: int, **fields: Any) -> list[LedgerEntry]:
    return [row._replace(**fields) if row.sequence == place else row for row in HISTORY]


def after(place: int, *more: LedgerEntry) -> list[LedgerEntry]:
    """The first entries of the history, and others instead of the rest."""
    rows = [*HISTORY[:place], *more]
    return [row._replace(sequence=number, block_number=number) for number, row in enumerate(rows, 1)]


def test_replay__honest_pool__gives_everything_to_somebody() -> None:
    replay = replay_of(HISTORY)
    assert replay.findings == []
    (pool,) = replay.pools.by_number.values()
    assert (replay.pools.held, replay.splits.by_id[1].accrued, pool.next_period) == (0, 5, 2)
    (root,) = pool.roots
    assert (root.state, root.left, root.fees, root.credits) == (ADOPTED, 0, 0, {1: 5})
    assert replay_of(HISTORY[:6]).pools.held == 3 * FEE - 5


@pytest.mark.parametrize(
    ("entries", "times"),
    [
        (changed(3, a=4 * FEE), {}),
        (changed(3, a=0, b=0), {}),
        (changed(3, b=0b1011 << 64 | 22), {}),
        (changed(3, a=FEE, b=1 << 64 << 24), {}),
        (after(3, HISTORY[2]._replace(a=FEE, b=0b10 << 64)), {}),
        (changed(4, a=3 * FEE), {}),
        (changed(4, c=1), {}),
        (changed(5, b=UNTIL + 1), {}),
        (changed(5, c=0), {}),
        (HISTORY, {5: ADOPTED_AT - 1}),
        (after(4, HISTORY[4]._replace(b=ADOPTED_AT + LAPSE_SECONDS + CREDIT_SECONDS)), {5: ADOPTED_AT + LAPSE_SECONDS}),
        (after(4, entry(EntryKind.ROOT_VETOED, 1, OTHER, 5, (2 * FEE, 0, 0), ROOT)), {5: ADOPTED_AT + LAPSE_SECONDS}),
        (after(4, HISTORY[3]._replace(b=1 << 64 | ADOPTED_AT + 1 << 128)), {5: POSTED + 1}),
        (changed(6, a=0), {}),
        (changed(6, a=2 * FEE + 1), {}),
        (changed(6, c=0), {}),
        (changed(6, d=DIGEST), {}),
        (after(6, HISTORY[5]), {7: UNTIL - 1}),
        (HISTORY, {6: UNTIL}),
        (changed(7, a=4), {}),
        (changed(7, who=BUYER), {}),
        (changed(7, b=2), {}),
        (changed(7, b=3), {}),
        (changed(7, d=DIGEST), {}),
        (changed(7, c=PAYER), {}),
        (changed(8, b=0), {}),
        (HISTORY, {7: UNTIL - 1}),
        (changed(9, a=FEE - 1), {}),
        (changed(9, b=1), {}),
        (HISTORY, {9: SILENT - 1}),
    ],
)
def test_replay__one_rule_of_pools_broken__is_a_finding(entries: list[LedgerEntry], times: dict[int, int]) -> None:
    assert "C10" in {finding.check for finding in replay_of(entries, times).findings}


def test_replay__posting_that_lapsed__makes_room_and_is_no_fault() -> None:
    late = ADOPTED_AT + LAPSE_SECONDS
    again = HISTORY[3]._replace(b=1 << 64 | late + WINDOW << 128)
    replay = replay_of(after(4, again), {5: late})
    assert replay.findings == []
    assert [root.state for root in replay.pools.by_number[1].roots] == [LAPSED, "pending"]
