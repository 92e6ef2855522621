"""Event logs of a chain: parsed strictly, read in pages that adapt to what the endpoint gives."""

import re
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache
from typing import NamedTuple

import msgspec

from viz_node.chain.node.rpc import JsonRpc, RpcRefusedError, to_quantity
from viz_node.errors import ChainUnavailableError

PAGE_BLOCKS = 2_000
PAGE_LOGS = 2_000
LARGEST_PAGE_BLOCKS = 100_000
_GROWTH = 4
_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_WORD_CHARS = 66
# As much text as a processor keeps at hand.
_CHUNK_LOGS = 500
_DIGITS = b"0123456789abcdef"

Topics = Sequence[str | Sequence[str] | None]


class Log(NamedTuple):
    """One log: hex as JSON-RPC spells it, lower case; `position` is that of its transaction in the block."""

    address: str
    topics: tuple[str, ...]
    data: str
    block_number: int
    block_hash: str
    tx_hash: str
    position: int
    log_index: int


class ToldLog(msgspec.Struct, gc=False, rename="camel"):
    """One log as an endpoint tells it."""

    address: str
    topics: tuple[str, ...]
    data: str
    block_number: str
    block_hash: str
    transaction_hash: str
    transaction_index: str
    log_index: str
    removed: bool | None = None


def parse_logs(told: Sequence[ToldLog]) -> list[Log]:
    """The logs that an endpoint told. Raises: ChainUnavailableError for anything but canonical JSON-RPC."""
    try:
        logs = [_log(log) for log in told]
        if not all(_are_canonical(logs[start : start + _CHUNK_LOGS]) for start in range(0, len(logs), _CHUNK_LOGS)):
            raise ValueError("not canonical hex")
    except ValueError as error:
        raise ChainUnavailableError(f"the chain gave a malformed log: {error}", "use another RPC") from error
    return logs


def _log(told: ToldLog) -> Log:
    """The log with its hex as told."""
    if told.removed:
        raise ValueError("a block that was removed")
    return Log._make(
        (
            _address(told.address),
            told.topics,
            told.data,
            _quantity(told.block_number),
            told.block_hash,
            told.transaction_hash,
            _quantity(told.transaction_index),
            _quantity(told.log_index),
        )
    )


def _are_canonical(logs: Sequence[Log]) -> bool:
    """Whether all hashes and topics are words, and all data bytes, in lower-case hex after `0x`.

    An audit reads hundreds of thousands of them, so some hundred are looked at as one text: without the digits only an
    x of each is left, and the x stands where it must.
    """
    words = [word for log in logs for word in (log.block_hash, log.tx_hash, *log.topics)]
    data = [log.data for log in logs]
    if not set(map(len, words)) <= {_WORD_CHARS} or not all(item[:2] == "0x" and not len(item) % 2 for item in data):
        return False
    text, end = "".join(words + data).encode(), len(words) * _WORD_CHARS
    stand = text[:end:_WORD_CHARS] == b"0" * len(words) and text[1:end:_WORD_CHARS] == b"x" * len(words)
    return stand and text.translate(None, _DIGITS) == b"x" * (len(words) + len(data))


# Neighboring logs share most of these.
_quantity = lru_cache(maxsize=4096)(to_quantity)


@lru_cache(maxsize=16)
def _address(text: str) -> str:
    address = text.lower()
    if not _ADDRESS.fullmatch(address):
        raise ValueError("no address")
    return address


def read_logs(
    rpc: JsonRpc, address: str, topics: Topics, from_block: int, to_block: int, page_blocks: int = PAGE_BLOCKS
) -> Iterator[Log]:
    """All logs of the contract in the range, in order; pages shrink when the endpoint refuses one.

    `page_blocks` is the size of the first page; the others follow from how many logs it had.

    Raises: ChainUnavailableError, also for a log that was not asked for and for one that is out of order or repeated.
    """
    last = (-1, -1)
    for start, end, told in _pages(rpc, address, topics, (from_block, to_block), page_blocks):
        for log in parse_logs(told):
            place = log.block_number, log.log_index
            if log.address != address or not start <= place[0] <= end or place <= last:
                raise ChainUnavailableError(
                    "the chain gave a log twice, out of order, or one that was not asked for", "use another RPC"
                )
            last = place
            yield log


_Page = tuple[int, int, list[ToldLog]]


def _pages(rpc: JsonRpc, address: str, topics: Topics, blocks: tuple[int, int], size: int) -> Iterator[_Page]:
    """First block, last block and logs of each page, not parsed; `size` is that of the first.

    The endpoint works on the next page while the caller works on this one.
    """
    start, to_block = blocks
    ready: list[_Page] = []
    with ThreadPoolExecutor(1) as ahead:
        while start <= to_block:
            end = min(start + size - 1, to_block)
            query = {"address": address, "topics": list(topics), "fromBlock": hex(start), "toBlock": hex(end)}
            asked = ahead.submit(rpc.call, "eth_getLogs", query, shape=list[ToldLog])
            yield from ready
            ready.clear()
            try:
                answer = asked.result()
            except RpcRefusedError as error:
                if end == start:
                    text = f"the chain does not give the logs of block {start}: {error}"
                    raise ChainUnavailableError(text) from error
                size = max(1, (end - start + 1) // 2)
                continue
            if answer is None:
                raise ChainUnavailableError("the chain's answer to eth_getLogs is malformed", "use another RPC")
            ready.append((start, end, answer))
            wanted = size * PAGE_LOGS // max(1, len(answer))
            start, size = end + 1, max(1, min(wanted, size * _GROWTH, LARGEST_PAGE_BLOCKS))
    yield from ready
