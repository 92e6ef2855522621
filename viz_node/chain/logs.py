"""Event logs of a chain: parsed strictly, read in pages that adapt to what the endpoint gives."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from viz_node.chain.rpc import JsonRpc, RpcRefusedError, to_quantity
from viz_node.errors import ChainUnavailableError

PAGE_BLOCKS = 2_000
PAGE_LOGS = 5_000
LARGEST_PAGE_BLOCKS = 100_000
_GROWTH = 8
_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_WORD_CHARS = 66
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

    @property
    def place(self) -> tuple[int, int]:
        """Block and place in it: ascending along the chain."""
        return self.block_number, self.log_index


def parse_log(body: Any) -> Log:
    """The log that an endpoint told. Raises: ChainUnavailableError for anything but canonical JSON-RPC."""
    try:
        if body.get("removed") not in (None, False):
            raise ValueError("a block that was removed")
        topics, data = tuple(body["topics"]), body["data"]
        words = (body["blockHash"], body["transactionHash"], *topics)
        if max(map(len, words)) != _WORD_CHARS or len(data) % 2 or not _are_hex(words, data):
            raise ValueError("not canonical hex")
        address = _address(body["address"])
        block_number, position = _quantity(body["blockNumber"]), _quantity(body["transactionIndex"])
        log_index = _quantity(body["logIndex"])
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ChainUnavailableError(f"the chain gave a malformed log: {error}", "use another RPC") from error
    return Log(address, topics, data, block_number, words[0], words[1], position, log_index)


def _are_hex(words: Sequence[str], data: str) -> bool:
    """Whether these are words, none longer than a word, and data, in lower-case hex after `0x`.

    Half the time of a search by patterns, and an audit asks it hundreds of thousands of times: without the digits only
    an x of each is left, and the x stands where it must.
    """
    text, count = "".join(words), len(words)
    is_whole = len(text) == count * _WORD_CHARS and text[::_WORD_CHARS] == "0" * count and data.startswith("0x")
    left = (text + data).encode().translate(None, _DIGITS)
    return is_whole and text[1::_WORD_CHARS] == "x" * count and left == b"x" * (count + 1)


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
    for start, end, bodies in _pages(rpc, address, topics, (from_block, to_block), page_blocks):
        for body in bodies:
            log = parse_log(body)
            place = log.block_number, log.log_index
            if log.address != address or not start <= place[0] <= end or place <= last:
                raise ChainUnavailableError(
                    "the chain gave a log twice, out of order, or one that was not asked for", "use another RPC"
                )
            last = place
            yield log


_Page = tuple[int, int, list[Any]]


def _pages(rpc: JsonRpc, address: str, topics: Topics, blocks: tuple[int, int], size: int) -> Iterator[_Page]:
    """First block, last block and logs of each page, not parsed; `size` is that of the first."""
    start, to_block = blocks
    while start <= to_block:
        end = min(start + size - 1, to_block)
        query = {"address": address, "topics": list(topics), "fromBlock": hex(start), "toBlock": hex(end)}
        try:
            answer = rpc.call("eth_getLogs", query)
        except RpcRefusedError as error:
            if end == start:
                raise ChainUnavailableError(f"the chain does not give the logs of block {start}: {error}") from error
            size = max(1, (end - start + 1) // 2)
            continue
        if not isinstance(answer, list):
            raise ChainUnavailableError("the chain's answer to eth_getLogs is malformed", "use another RPC")
        yield start, end, answer
        wanted = size * PAGE_LOGS // max(1, len(answer))
        start, size = end + 1, max(1, min(wanted, size * _GROWTH, LARGEST_PAGE_BLOCKS))
