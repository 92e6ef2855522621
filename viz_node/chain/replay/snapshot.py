"""The state of a replay as bytes and back, so that a later replay goes on where this one ended.

It carries what later entries are judged by, and counts of the rest: no entry, no finding, nothing that was told beside
the entries. So it grows with what the market holds, not with its history. `tests/unit/chain/replay/test_snapshot.py`
fails when a part of the replay gains a field that is neither carried nor named here as not carried, and `SHAPE` changes
with every field of every class, so that no other program's state is read as ours.
"""

import hashlib
import zlib
from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from typing import Any, get_args, get_origin

import msgspec

from viz_node.chain.contract.ledger import SEQUENCE_MASK
from viz_node.chain.replay import LedgerReplay
from viz_node.chain.replay.catalogue import AdapterState, OfferState
from viz_node.chain.replay.channels import ChannelState
from viz_node.chain.replay.escrow import OrderState
from viz_node.chain.replay.pools import PoolState
from viz_node.chain.replay.splits import SplitState
from viz_node.domain.ids import Account
from viz_node.errors import RefusedError, VerificationError

MOST_STATE_BYTES = 1 << 30

CARRIED: dict[str, dict[str, Any]] = {
    "": {"head": int, "_last_place": tuple[int, int]},
    "book": {"checked": dict[str, int], "is_marked_paused": bool, "paused_until": int, "now": int},
    "splits": {"by_id": dict[int, SplitState], "counts": dict[int, int], "units": dict[int, int]},
    "catalogue": {
        "adapters": dict[int, AdapterState],
        "offers": dict[int, OfferState],
        "_registered": set[tuple[Account, int]],
    },
    "licenses": {"expiry": dict[tuple[int, Account], int]},
    "stewardship": {"notices": dict[int, int], "steward": Account | None, "named": Account},
    "channels": {"by_number": dict[int, ChannelState]},
    "escrow": {"operators": dict[int, Account], "orders": dict[int, OrderState]},
    "pools": {"by_number": dict[int, PoolState]},
}
"""What is carried of the replay and of each of its parts, with the type of each field."""

NOT_CARRIED: dict[str, set[str]] = {
    "": {"_handlers", *CARRIED} - {""},
    "book": {"market", "terms", "companions", "times", "findings"},
    "splits": {"_book", "_tables", "handlers", "claims", "credits"},
    "catalogue": {"_book", "_splits", "handlers"},
    "licenses": {"_book", "_catalogue", "_splits", "handlers"},
    "stewardship": {"_book", "_catalogue", "handlers", "_rules"},
    "channels": {"_book", "_catalogue", "_splits", "handlers"},
    "escrow": {"_book", "_catalogue", "_splits", "_licenses", "handlers"},
    "pools": {"_book", "_splits", "_digests", "handlers", "_rules"},
}
"""Wiring, what stands beside entries that were judged already, and rows that the earlier audit told."""


def _wire_type(kind: Any) -> Any:
    """JSON has no keys of two parts: such a mapping is a list of pairs."""
    return list[tuple[get_args(kind)]] if _has_pairs(kind) else kind  # type: ignore[misc]


def _has_pairs(kind: Any) -> bool:
    return get_origin(kind) is dict and get_origin(get_args(kind)[0]) is tuple


def _carried() -> Iterator[tuple[str, str, Any]]:
    for part, kinds in CARRIED.items():
        for name, kind in kinds.items():
            yield part, name, kind


_State = msgspec.defstruct(
    "_State",
    [(f"{part or 'replay'}_{name.lstrip('_')}", _wire_type(kind)) for part, name, kind in _carried()],
    forbid_unknown_fields=True,
)
SHAPE = hashlib.sha256(msgspec.json.encode(msgspec.json.schema(_State), order="sorted")).hexdigest()
_decoder = msgspec.json.Decoder(_State)


def capture(replay: LedgerReplay) -> bytes:
    """The state after the entries so far, compressed. Raises: RefusedError when it is larger than `restore` takes."""
    values = (
        (list(value.items()) if _has_pairs(kind) else value)
        for value, kind in ((getattr(_part(replay, part), name), kind) for part, name, kind in _carried())
    )
    text = msgspec.json.encode(_State(*values))
    if len(text) > MOST_STATE_BYTES:
        raise RefusedError(f"the market's state takes more than the {MOST_STATE_BYTES >> 20} MiB of a checkpoint")
    return zlib.compress(text, 6)


def restore(replay: LedgerReplay, raw: bytes) -> None:
    """Let a replay that has seen no entry go on from a state. Raises: VerificationError."""
    unpacker = zlib.decompressobj()
    try:
        text = unpacker.decompress(raw, MOST_STATE_BYTES)
        if not unpacker.eof or unpacker.unused_data:
            raise VerificationError("the state is cut off, or too large")
        state = _decoder.decode(text)
    except (zlib.error, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise VerificationError(f"the state is malformed: {error!r:.120}") from error
    for field, (part, name, kind) in zip(state.__struct_fields__, _carried(), strict=True):
        _set(_part(replay, part), name, getattr(state, field), kind)


def entries_in(replay: LedgerReplay) -> int:
    """How many entries the state rests on."""
    return replay.head & SEQUENCE_MASK


def _part(replay: LedgerReplay, part: str) -> Any:
    return getattr(replay, part) if part else replay


def _set(part: Any, name: str, value: Any, kind: Any) -> None:
    if get_origin(kind) is not dict:
        setattr(part, name, value)
        return
    if is_dataclass(get_args(kind)[1]):
        _refill(get_args(kind)[1], value.values())
    # In place, so that a counter stays a counter.
    held = getattr(part, name)
    held.clear()
    held.update(value)


def _refill(state_class: Any, states: Any) -> None:
    """Give mappings that make missing values their factories back; JSON knows plain mappings only."""
    makers = {item.name: item.default_factory for item in fields(state_class) if item.default_factory is not MISSING}
    special = {name: make for name, make in makers.items() if type(make()) not in (dict, list)}
    for name, make in special.items():
        for state in states:
            filled = make()
            if isinstance(filled, dict):
                filled.update(getattr(state, name))
                setattr(state, name, filled)
