"""What to do next about an order's transaction: decided from the outbox and the chain's answers; nothing is done here.

An order has one transaction at a time: attempts that share a nonce, each with higher fees than the one before, of which
the chain takes at most one. `next_step` is asked again after each step until it says `Rest`; it asks for an answer of
the chain only where the decision needs it. Its steps, and the functions beside it, are all the ways in which an entry
changes its state; the states are told in `domain/records.py`.

An order is signed anew only when its transaction can never succeed: refused in a block that is booked, or its nonce
spent by another transaction in one. A block that vanishes takes its transactions out of `mined` and `confirmed`; they
are sent again as they are. Fees and what replaces them: `chain/account/fees.py`.
`tests/unit/domain/test_pipeline.py` takes every branch, and any course of chain, pool and crashes.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from enum import Enum

from viz_node.domain.records import DONE_OUTBOX_STATES, PENDING_OUTBOX_STATES, OutboxEntry
from viz_node.domain.transaction import Heads, Receipt, SignedTransaction

MOST_ATTEMPTS = 12
_ENDS = ("final", "failed")


@dataclass(frozen=True)
class Blocks:
    """What blocks tell of an order.

    `booked_nonce`: how many of the account's transactions are in blocks that are booked. `receipt`: that of the attempt
    which is in a block. `is_second`: the chain was asked twice, with time in between.
    """

    heads: Heads
    booked_nonce: int
    receipt: Receipt | None
    is_second: bool = False


@dataclass(frozen=True)
class Seen:
    """The chain's answers since the step began, None before a question is asked.

    `pending_nonce` counts the account's transactions with those that wait, `mined_nonce` those in blocks.
    """

    blocks: Blocks | None = None
    pending_nonce: int | None = None
    mined_nonce: int | None = None


class Look(Enum):
    """Ask the chain, and decide with the answer."""

    BLOCKS = "blocks"
    BLOCKS_AGAIN = "blocks again, after a while: one may count a transaction before it tells the receipt"
    PENDING = "the pending nonce"
    MINED = "the mined nonce"


@dataclass(frozen=True)
class Book:
    """Write down these entries, in this order.

    `undone` is one whose success was shown and will never be, `gone` one whose block has vanished.
    """

    entries: tuple[OutboxEntry, ...]
    undone: OutboxEntry | None = None
    gone: OutboxEntry | None = None


@dataclass(frozen=True)
class Send:
    """Send `entry`, after the account's transactions with the nonces `below`, which the chain has forgotten.

    Written down as `sent`.
    """

    entry: OutboxEntry
    sent: OutboxEntry
    below: range


@dataclass(frozen=True)
class Raise:
    """Sign another attempt with higher fees than `entry`."""

    entry: OutboxEntry
    heads: Heads


@dataclass(frozen=True)
class Rest:
    """There is nothing to do until the chain goes on; `entry` says what became of the order."""

    entry: OutboxEntry


Step = Look | Book | Send | Raise | Rest


def newest_attempts(entries: Sequence[OutboxEntry]) -> list[OutboxEntry]:
    """The attempts at the newest transaction among an order's entries, oldest first; they share a nonce."""
    return [entry for entry in entries if entry.nonce == entries[-1].nonce]


def leading(attempts: Sequence[OutboxEntry]) -> OutboxEntry:
    """Of at least one attempt the one that a booked block has, else the one that is in a block, else the latest."""
    included = [entry for entry in attempts if entry.block_hash]
    return ([entry for entry in included if entry.state in _ENDS] or included or attempts)[-1]


def may_sign(attempts: Sequence[OutboxEntry]) -> bool:
    """Whether an order may be signed anew: nothing that was signed for it can succeed."""
    return all(entry.state in ("failed", "replaced") for entry in attempts)


def free_nonce(pending_nonce: int, pending: Iterable[OutboxEntry]) -> int:
    """The nonce of a new order: after all that the chain knows and all that the node means to send."""
    return max([pending_nonce, *(entry.nonce + 1 for entry in pending)])


def next_attempt(entry: OutboxEntry, signed: SignedTransaction, heads: Heads) -> OutboxEntry:
    """The next attempt at the transaction of `entry`. Raises: ValueError (it would be another transaction)."""
    if signed.nonce != entry.nonce or signed.tx_hash == entry.tx_hash:
        raise ValueError("an attempt has the nonce of the one before, and other fees")
    return replace(entry, state="signed", raw=signed.raw, tx_hash=signed.tx_hash, block=heads.latest)


def overdue(entry: OutboxEntry) -> OutboxEntry:
    """The entry when the wait for a block was too long."""
    return entry if entry.block_hash else replace(entry, state="unknown")


def next_step(attempts: Sequence[OutboxEntry], seen: Seen, blocks_before_raise: int) -> Step:
    """What to do about the attempts at one transaction, of which there is at least one.

    Fees are raised once the latest attempt was sent `blocks_before_raise` blocks ago, which is at least 1.
    """
    known, blocks = leading(attempts), seen.blocks
    if known.state in _ENDS:
        return _end(known, attempts)
    if blocks is None:
        return Look.BLOCKS
    if blocks.receipt is not None:
        return _include(blocks.receipt, blocks.heads, attempts)
    if blocks.booked_nonce > known.nonce:
        return _abandon(known, attempts) if blocks.is_second else Look.BLOCKS_AGAIN
    if known.block_hash:
        waits = replace(known, state="sent", block=blocks.heads.latest, block_hash="")
        return Book((waits,), gone=known)
    return _send_or_raise(attempts, seen, blocks.heads, blocks_before_raise)


def _end(known: OutboxEntry, attempts: Sequence[OutboxEntry]) -> Step:
    """The order has come to its end, and with it every attempt."""
    left = [entry for entry in attempts if entry.state in PENDING_OUTBOX_STATES]
    return Book(tuple(replace(entry, state="replaced", block_hash="") for entry in left)) if left else Rest(known)


def _include(receipt: Receipt, heads: Heads, attempts: Sequence[OutboxEntry]) -> Step:
    """One attempt is in a block: it is believed as far as that block is."""
    entry = next(attempt for attempt in attempts if attempt.tx_hash == receipt.tx_hash)
    is_booked, is_done = receipt.block_number <= heads.booked, receipt.status == 1
    if is_booked:
        state = "final" if is_done else "failed"
    elif receipt.block_number <= heads.shown and is_done:
        state = "confirmed"
    else:
        state = "mined" if is_done else "reverted"
    was_shown = entry.was_shown or state in DONE_OUTBOX_STATES
    included = replace(
        entry, state=state, was_shown=was_shown, block=receipt.block_number, block_hash=receipt.block_hash
    )
    moved = [
        replace(other, state="sent", block_hash="") for other in attempts if other is not entry and other.block_hash
    ]
    changed = tuple(one for one in (included, *moved) if one not in attempts)
    undone = entry if state == "failed" and _was_shown(attempts) else None
    return Book(changed, undone) if changed else Rest(included)


def _abandon(known: OutboxEntry, attempts: Sequence[OutboxEntry]) -> Book:
    """Another transaction has this nonce permanently."""
    failed = tuple(replace(entry, state="failed", block_hash="") for entry in attempts)
    return Book(failed, known if _was_shown(attempts) else None)


def _was_shown(attempts: Sequence[OutboxEntry]) -> bool:
    return any(attempt.was_shown for attempt in attempts)


def _send_or_raise(attempts: Sequence[OutboxEntry], seen: Seen, heads: Heads, blocks_before_raise: int) -> Step:
    """No attempt is in a block: send what the chain does not have, and raise the fees of what it has had for long."""
    entry = attempts[-1]
    if seen.pending_nonce is None:
        return Look.PENDING
    if entry.state == "signed" or seen.pending_nonce <= entry.nonce:
        sent = replace(entry, state="sent", block=heads.latest) if entry.state == "signed" else entry
        return Send(entry, sent, range(seen.pending_nonce, entry.nonce))
    if heads.latest - entry.block < blocks_before_raise or len(attempts) >= MOST_ATTEMPTS:
        return Rest(entry)
    if seen.mined_nonce is None:
        return Look.MINED
    # A block has the nonce since its receipt was asked for: the next look tells which attempt.
    return Rest(entry) if seen.mined_nonce > entry.nonce else Raise(entry, heads)
