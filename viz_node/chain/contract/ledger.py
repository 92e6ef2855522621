"""The market's ledger as its `Entry` events tell it, and the events that stand beside entries.

Every change of rights or money is one entry. The contract keeps `head`, 215 bits of hash over all entries, one bit that
says whether sales are paused, and 40 bits of their count, so that one storage proof of `head` proves that no entry is
missing, altered or moved. The meaning of the fields by kind is in the contract's interface, ILedger.
"""

from enum import IntEnum
from struct import Struct
from typing import NamedTuple

from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.node.logs import Log
from viz_node.chain.node.rpc import to_hex
from viz_node.domain.ids import Account
from viz_node.errors import ChainUnavailableError

ENTRY_TOPIC = keccak(b"Entry(uint8,uint256,address,uint256,uint256,uint256,uint256,bytes32)")
TRANSFER_TOPIC = keccak(b"Transfer(address,address,uint256)")

SEQUENCE_MASK = (1 << 40) - 1
PAUSED = 1 << 40
STATE_BITS = 41
INITIAL_HEAD = 1 << STATE_BITS
PERPETUAL = 2**256 - 1
WORD_DIGITS = 64
_ENTRY_DATA = Struct("32s32s32s32s32s")


class EntryKind(IntEnum):
    """The facts of an entry."""

    REGISTERED = 1
    SPLIT_CREATED = 2
    OFFER_CREATED = 3
    SOLD = 4
    CLAIMED = 5
    PASSED_ON = 6
    WITHDRAWN = 10
    SUSPENDED = 11
    REOPENED = 12
    RETIRED = 13
    NOTICE = 14
    COUNTER_NOTICE = 15
    PAUSED = 16
    UNPAUSED = 17
    STEWARD_NAMED = 18
    STEWARD_CHANGED = 19
    CHANNEL_OPENED = 20
    TOPPED_UP = 21
    REDEEMED = 22
    CLOSE_ASKED = 23
    CHANNEL_CLOSED = 24
    OPERATOR_SET = 30
    ORDERED = 31
    DELIVERED = 32
    DISPUTED = 33
    SETTLED = 34
    REFUNDED = 35
    POOL_CREATED = 40
    SUBSCRIBED = 41
    ROOT_POSTED = 42
    ROOT_VETOED = 43
    ROOT_ADOPTED = 44
    POOL_CLAIMED = 45
    PERIOD_REFUNDED = 46
    REST_REFUNDED = 47


# Members of an enumeration are slow to look up.
_PAUSED_KIND, _UNPAUSED_KIND = int(EntryKind.PAUSED), int(EntryKind.UNPAUSED)


class LedgerEntry(NamedTuple):
    """One entry with its place on the chain."""

    kind: int
    key: int
    who: Account
    sequence: int
    a: int
    b: int
    c: int
    d: bytes
    block_number: int
    tx_hash: str
    log_index: int


class Transfer(NamedTuple):
    """One movement of the payment token."""

    sender: Account
    recipient: Account
    amount: int
    block_number: int
    tx_hash: str
    log_index: int


def next_head(head: int, entry: LedgerEntry) -> int:
    """The ledger's head after `entry`, as the contract computes it."""
    number = (head & SEQUENCE_MASK) + 1
    kind, key, who, _, a, b, c, d, *_ = entry
    # Word by word, without a loop: an audit does this for every entry.
    words = (
        head.to_bytes(32),
        kind.to_bytes(32),
        key.to_bytes(32),
        int(who, 16).to_bytes(32),
        number.to_bytes(32),
        a.to_bytes(32),
        b.to_bytes(32),
        c.to_bytes(32),
        d,
    )
    digest = int.from_bytes(keccak(b"".join(words)))
    paused = head & PAUSED
    if kind == _PAUSED_KIND:
        paused = PAUSED
    elif kind == _UNPAUSED_KIND:
        paused = 0
    return (digest >> STATE_BITS << STATE_BITS) | paused | number


def topic_of(value: int) -> str:
    """A number or an address as a 32-byte topic."""
    return f"0x{value:064x}"


def is_entry(log: Log, market: str) -> bool:
    """Whether a log is a ledger entry of this market."""
    return log.address == market and log.topics[:1] == (to_hex(ENTRY_TOPIC),)


def entry_of(log: Log) -> LedgerEntry:
    """The entry in an `Entry` log. Raises: ChainUnavailableError."""
    data = log.data
    if len(log.topics) != 4 or len(data) != 2 + 5 * WORD_DIGITS:
        raise ChainUnavailableError("the chain gave a malformed ledger entry", "use another RPC")
    _, kind, key, who = log.topics
    sequence, a, b, c, d = _ENTRY_DATA.unpack(bytes.fromhex(data[2:]))
    return LedgerEntry(
        int(kind, 16),
        int(key, 16),
        account_of_topic(who),
        int.from_bytes(sequence),
        int.from_bytes(a),
        int.from_bytes(b),
        int.from_bytes(c),
        d,
        log.block_number,
        log.tx_hash,
        log.log_index,
    )


def transfer_of(log: Log) -> Transfer:
    """The movement in an ERC-20 `Transfer` log. Raises: ChainUnavailableError."""
    if len(log.topics) != 3 or len(log.data) != 2 + WORD_DIGITS:
        raise ChainUnavailableError("the chain gave a malformed transfer", "use another RPC")
    sender, recipient = account_of_topic(log.topics[1]), account_of_topic(log.topics[2])
    return Transfer(sender, recipient, int(log.data, 16), log.block_number, log.tx_hash, log.log_index)


def account_of_topic(topic: str) -> Account:
    """The address in a topic. Raises: ChainUnavailableError for one with foreign bits."""
    if topic[2:26] != "0" * 24:
        raise ChainUnavailableError("the chain gave a malformed account", "use another RPC")
    return Account("0x" + topic[26:])
