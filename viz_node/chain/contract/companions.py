"""The events beside ledger entries: what is too large for an entry, each bound to it by a hash in the entry."""

from typing import NamedTuple

from viz_node.chain.contract.artifact import account_of_word, decode_pair_of_lists, words
from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.node.logs import Log
from viz_node.chain.node.rpc import to_bytes
from viz_node.domain.ids import Account
from viz_node.domain.order import Delivery, OrderTerms
from viz_node.errors import ChainUnavailableError

SPLIT_TABLE_TOPIC = keccak(b"SplitTable(uint32,address[],uint16[])")
_ORDER = "(uint64,uint32,uint40,address,address,uint256,bytes32,bytes32,(uint256,uint256))"
_DELIVERY = "((uint256,uint256),bytes32,uint40)"
ORDER_TOPIC = keccak(f"OrderPlaced(uint64,{_ORDER})".encode())
DELIVERY_TOPIC = keccak(f"KeyDelivered(uint64,{_DELIVERY})".encode())
POOL_DATA_TOPIC = keccak(b"PoolData(uint64,bytes32,bytes32,string)")

ORDER_WORDS = 10
DELIVERY_WORDS = 4
LONGEST_URI_BYTES = 4096


class SplitTable(NamedTuple):
    """The recipients of a split and their shares in basis points, in the order of the tree."""

    split_id: int
    shares: tuple[tuple[Account, int], ...]
    block_number: int


class PoolData(NamedTuple):
    """Where the data behind a posted root is, and its digest."""

    pool_id: int
    root: bytes
    digest: bytes
    uri: str


def split_table_of(log: Log) -> SplitTable:
    """Read one `SplitTable` log. Raises: ChainUnavailableError."""
    number = _indexed(log, 2)[0]
    try:
        accounts, shares = decode_pair_of_lists(to_bytes(log.data))
        table = tuple((_account(account), share) for account, share in zip(accounts, shares, strict=True))
    except ValueError as error:
        raise ChainUnavailableError(f"the chain gave a malformed split table: {error}", "use another RPC") from error
    return SplitTable(number, table, log.block_number)


def order_of(log: Log) -> tuple[int, OrderTerms]:
    """Read one `OrderPlaced` log: number and terms. Raises: ChainUnavailableError."""
    number = _indexed(log, 2)[0]
    raw = _exact(log, ORDER_WORDS)
    offer, split, deadline, payer, holder, price = words(raw)[:6]
    parties = _account(payer), _account(holder)
    return number, OrderTerms(offer, split, deadline, *parties, price, raw[192:224], raw[224:256], raw[256:320], raw)


def delivery_of(log: Log) -> tuple[int, Delivery]:
    """Read one `KeyDelivered` log: number of the order, and delivery. Raises: ChainUnavailableError."""
    number = _indexed(log, 2)[0]
    raw = _exact(log, DELIVERY_WORDS)
    return number, Delivery(raw[:64], raw[64:96], words(raw)[3], raw)


def pool_data_of(log: Log) -> PoolData:
    """Read one `PoolData` log. Raises: ChainUnavailableError."""
    pool, root = _indexed(log, 3)
    raw = to_bytes(log.data)
    numbers = words(raw)
    size = numbers[2] if len(numbers) > 2 else -1
    if not 0 <= size <= min(LONGEST_URI_BYTES, len(raw) - 96) or numbers[1] != 64:
        raise ChainUnavailableError("the chain gave malformed data of a pool", "use another RPC")
    return PoolData(pool, root.to_bytes(32, "big"), raw[:32], raw[96 : 96 + size].decode(errors="replace"))


def _indexed(log: Log, count: int) -> list[int]:
    if len(log.topics) != count:
        raise ChainUnavailableError("the chain gave a malformed log", "use another RPC")
    return [int(topic, 16) for topic in log.topics[1:]]


def _exact(log: Log, count: int) -> bytes:
    raw = to_bytes(log.data)
    if len(raw) != 32 * count:
        raise ChainUnavailableError("the chain gave a malformed order or delivery", "use another RPC")
    return raw


def _account(word: int) -> Account:
    if word >> 160:
        raise ChainUnavailableError("the chain gave a malformed account", "use another RPC")
    return Account(account_of_word(word))
