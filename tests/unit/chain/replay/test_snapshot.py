"""A replay's state as bytes: nothing of it is forgotten, and nothing but it is taken."""

import zlib
from dataclasses import fields
from typing import Any

import msgspec
import pytest

from tests.unit.chain.replay.test_replay import BUYER, HISTORY, MARKET, OTHER, OWNER, TABLE, TIMES, entry, replay_of
from viz_node.audit import checkpoint
from viz_node.audit.money import Ledgers
from viz_node.chain.contract.companions import PoolData
from viz_node.chain.contract.ledger import EntryKind
from viz_node.chain.replay import Companions, LedgerReplay, MarketTerms, snapshot
from viz_node.chain.replay.catalogue import AdapterState, OfferState
from viz_node.chain.replay.channels import ChannelState
from viz_node.chain.replay.escrow import OrderState
from viz_node.chain.replay.pools import DAY_SECONDS, PoolState, PostedRoot
from viz_node.chain.replay.snapshot import CARRIED, NOT_CARRIED, capture, restore
from viz_node.chain.replay.splits import SplitState
from viz_node.domain.pricing import PriceRule, PriceState
from viz_node.errors import RefusedError, VerificationError

STATES = (SplitState, AdapterState, OfferState, PriceRule, PriceState, ChannelState, OrderState, PoolState, PostedRoot)


def part_of(replay: LedgerReplay, name: str) -> Any:
    return getattr(replay, name) if name else replay


def forgotten(replay: LedgerReplay) -> dict[str, set[str]]:
    """Fields of the replay and its parts that are neither carried nor named as not carried, and names of none."""
    told = {part: CARRIED[part].keys() | NOT_CARRIED[part] for part in CARRIED}
    found = {part: set(vars(part_of(replay, part))) ^ told[part] for part in CARRIED}
    return {part: names for part, names in found.items() if names}


def test_snapshot__every_field_of_the_replay__is_carried_or_named() -> None:
    replay = replay_of(HISTORY)
    assert forgotten(replay) == {}
    assert all(not CARRIED[part].keys() & NOT_CARRIED[part] for part in CARRIED)
    replay.escrow.appeals = {}  # type: ignore[attr-defined]
    assert forgotten(replay) == {"escrow": {"appeals"}}


def test_snapshot__every_field_of_a_state_class__is_in_its_bytes() -> None:
    schema = msgspec.json.schema(snapshot._State)
    for state_class in STATES:
        told = schema["$defs"][state_class.__name__]["properties"]
        assert set(told) == {item.name for item in fields(state_class)}, state_class


def test_snapshot__numbers_of_the_comparison_of_payments__are_all_carried() -> None:
    lists = {"findings", "stray_hashes"}
    assert Ledgers().figures().keys() == {item.name for item in fields(Ledgers)} - lists
    assert snapshot.SHAPE != checkpoint.SHAPE


def pool_history() -> tuple[LedgerReplay, LedgerReplay]:
    """A replay of a pool with a fee and a root, and an empty one of the same market."""
    root = b"\3" * 32
    data = PoolData(1, root, b"\4" * 32, "x")
    late = 2000 + DAY_SECONDS
    times = {**TIMES, 3: late}
    replays = [
        LedgerReplay(MARKET, MarketTerms(veto_window=600), Companions((TABLE,), pool_data=(data,)), times)
        for _ in range(2)
    ]
    replays[0].run(
        [
            entry(EntryKind.POOL_CREATED, 1, OWNER, 1, (7, DAY_SECONDS | TIMES[1] << 32, int(OTHER, 16))),
            entry(EntryKind.SUBSCRIBED, 1, BUYER, 2, (7, 1 << 64, int(OTHER, 16))),
            entry(EntryKind.ROOT_POSTED, 1, OWNER, 3, (7, (late + 600) << 128, int.from_bytes(b"\4" * 32)), root),
        ]
    )
    return replays[0], replays[1]


@pytest.mark.parametrize("replays", [pool_history(), (replay_of(HISTORY), replay_of([]))])
def test_snapshot__restored__is_the_same_state_and_its_mappings_still_fill_themselves(
    replays: tuple[LedgerReplay, LedgerReplay],
) -> None:
    before, after = replays
    assert before.findings == []
    restore(after, capture(before))
    for part, kinds in CARRIED.items():
        for name in kinds:
            old, new = getattr(part_of(before, part), name), getattr(part_of(after, part), name)
            assert (new, type(new)) == (old, type(old)), (part, name)
    for pool in after.pools.by_number.values():
        assert (pool.income[99], pool.payers[99], pool.adopted) == (0, {}, {})
    for split in after.splits.by_id.values():
        assert split.claimed[MARKET] == 0


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"no zlib",
        capture(replay_of(HISTORY))[:-1],
        capture(replay_of(HISTORY)) + b"x",
        zlib.compress(b"{}"),
        zlib.compress(b"[" * 100_000),
        zlib.compress(zlib.decompress(capture(replay_of(HISTORY))).replace(b'"replay_head":', b'"replay_head":"')),
        zlib.compress(zlib.decompress(capture(replay_of(HISTORY)))[:-1] + b',"more":1}'),
    ],
)
def test_snapshot__malformed__is_refused(raw: bytes) -> None:
    with pytest.raises(VerificationError):
        restore(replay_of([]), raw)


def test_snapshot__bomb__is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot, "MOST_STATE_BYTES", 1 << 20)
    with pytest.raises(VerificationError, match="too large"):
        restore(replay_of([]), zlib.compress(b" " * (1 << 26)))
    monkeypatch.setattr(snapshot, "MOST_STATE_BYTES", 100)
    with pytest.raises(RefusedError, match="takes more than"):
        capture(replay_of(HISTORY))
