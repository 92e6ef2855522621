"""The market's ledger as its `Entry` and `SplitTable` events tell it: read in pages, decoded by hand.

Every change of rights or money is one entry. The contract keeps `head`, 216 bits of hash over all entries and 40 bits
of their count, so that one storage proof of `head` proves that no entry is missing, altered or moved.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any

from viz_node.chain.contract import account_of_word, decode_pair_of_lists, words
from viz_node.chain.hashing import keccak
from viz_node.chain.rpc import JsonRpc, RpcRefusedError, to_bytes, to_hex, to_int
from viz_node.domain.ids import Account
from viz_node.errors import ChainUnavailableError

ENTRY_TOPIC = keccak(b"Entry(uint8,uint256,address,uint256,uint256,uint256,uint256,bytes32)")
SPLIT_TABLE_TOPIC = keccak(b"SplitTable(uint32,address[],uint16[])")
TRANSFER_TOPIC = keccak(b"Transfer(address,address,uint256)")

INITIAL_HEAD = 1 << 40
SEQUENCE_BITS = 40
PERPETUAL = 2**256 - 1
PAGE_BLOCKS = 2000


class EntryKind(IntEnum):
    """What an entry tells; the meaning of its fields is in the contract's interface."""

    REGISTERED = 1
    SPLIT_CREATED = 2
    OFFER_CREATED = 3
    SOLD = 4
    CLAIMED = 5


@dataclass(frozen=True)
class LedgerEntry:
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


@dataclass(frozen=True)
class SplitTable:
    """The recipients of a split and their shares in basis points, in the order of the tree."""

    split_id: int
    shares: tuple[tuple[Account, int], ...]
    block_number: int


@dataclass(frozen=True)
class Transfer:
    """One movement of the payment token."""

    sender: Account
    recipient: Account
    amount: int
    tx_hash: str


def next_head(head: int, entry: LedgerEntry) -> int:
    """The ledger's head after `entry`, as the contract computes it."""
    number = (head & ((1 << SEQUENCE_BITS) - 1)) + 1
    fields = (head, entry.kind, entry.key, int(entry.who, 16), number, entry.a, entry.b, entry.c)
    packed = b"".join(field.to_bytes(32, "big") for field in fields) + entry.d
    digest = int.from_bytes(keccak(packed), "big")
    return (digest >> SEQUENCE_BITS << SEQUENCE_BITS) | number


def read_logs(
    rpc: JsonRpc, address: str, topics: Sequence[Any], from_block: int, to_block: int
) -> Iterator[dict[str, Any]]:
    """All logs in the range, in the order in which the endpoint gives them; pages shrink when it refuses one.

    Raises: ChainUnavailableError.
    """
    size, start = PAGE_BLOCKS, from_block
    while start <= to_block:
        end = min(start + size - 1, to_block)
        query = {"address": address, "topics": list(topics), "fromBlock": hex(start), "toBlock": hex(end)}
        try:
            logs = rpc.call("eth_getLogs", query)
        except RpcRefusedError as error:
            if end == start:
                raise ChainUnavailableError(f"the chain does not give the logs of block {start}: {error}") from error
            size = max(1, (end - start + 1) // 2)
            continue
        if not isinstance(logs, list):
            raise ChainUnavailableError("the chain's answer to eth_getLogs is malformed")
        yield from logs
        start, size = end + 1, min(size * 2, PAGE_BLOCKS)


def read_entries(
    rpc: JsonRpc, market: str, from_block: int, to_block: int, topics: Sequence[str | None] = ()
) -> list[LedgerEntry]:
    """Entries of the market; `topics` narrows by kind, key and account. Raises: ChainUnavailableError."""
    pattern = [to_hex(ENTRY_TOPIC), *topics]
    return [decode_entry(log) for log in read_logs(rpc, market, pattern, from_block, to_block)]


def read_split_tables(
    rpc: JsonRpc, market: str, from_block: int, to_block: int, split_id: int | None = None
) -> list[SplitTable]:
    """Published tables of splits, all or of one. Raises: ChainUnavailableError."""
    pattern = [to_hex(SPLIT_TABLE_TOPIC)]
    if split_id is not None:
        pattern.append(topic_of(split_id))
    return [decode_split_table(log) for log in read_logs(rpc, market, pattern, from_block, to_block)]


def read_transfers(rpc: JsonRpc, token: str, market: str, from_block: int, to_block: int) -> list[Transfer]:
    """Token movements into and out of the market. Raises: ChainUnavailableError."""
    party = topic_of(int(market, 16))
    patterns: list[list[str | None]] = [[to_hex(TRANSFER_TOPIC), None, party], [to_hex(TRANSFER_TOPIC), party]]
    return [
        decode_transfer(log) for pattern in patterns for log in read_logs(rpc, token, pattern, from_block, to_block)
    ]


def topic_of(value: int) -> str:
    """A number or an address as a 32-byte topic."""
    return f"0x{value:064x}"


def is_entry(log: dict[str, Any], market: str) -> bool:
    """Whether a receipt's log is a ledger entry of this market."""
    topics = log.get("topics") or [""]
    return str(log.get("address", "")).lower() == market and topics[0] == to_hex(ENTRY_TOPIC)


def decode_entry(log: dict[str, Any]) -> LedgerEntry:
    """Read one `Entry` log. Raises: ChainUnavailableError."""
    _, kind, key, who = _topics(log, 4)
    data = to_bytes(log.get("data"))
    if len(data) != 160:
        raise ChainUnavailableError("the chain gave a malformed ledger entry")
    sequence, a, b, c, _ = words(data)
    account = Account(account_of_word(who))
    place = to_int(log.get("blockNumber")), str(log.get("transactionHash")), to_int(log.get("logIndex"))
    return LedgerEntry(kind, key, account, sequence, a, b, c, data[128:160], *place)


def decode_split_table(log: dict[str, Any]) -> SplitTable:
    """Read one `SplitTable` log. Raises: ChainUnavailableError."""
    _, split_id = _topics(log, 2)
    try:
        accounts, shares = decode_pair_of_lists(to_bytes(log.get("data")))
        table = tuple((Account(account_of_word(a)), s) for a, s in zip(accounts, shares, strict=True))
    except ValueError as error:
        raise ChainUnavailableError(f"the chain gave a malformed split table: {error}") from error
    return SplitTable(split_id, table, to_int(log.get("blockNumber")))


def decode_transfer(log: dict[str, Any]) -> Transfer:
    """Read one ERC-20 `Transfer` log. Raises: ChainUnavailableError."""
    _, sender, recipient = _topics(log, 3)
    parties = Account(account_of_word(sender)), Account(account_of_word(recipient))
    return Transfer(*parties, to_int(log.get("data")), str(log.get("transactionHash")))


def _topics(log: Any, count: int) -> list[int]:
    topics = log.get("topics") if isinstance(log, dict) else None
    if not isinstance(topics, list) or len(topics) != count:
        raise ChainUnavailableError("the chain gave a malformed log")
    return [to_int(topic) for topic in topics]
