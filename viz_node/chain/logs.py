"""Event logs of a chain: parsed strictly, read in pages that adapt to what the endpoint gives."""

import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from viz_node.chain.rpc import JsonRpc, RpcRefusedError, to_quantity
from viz_node.errors import ChainUnavailableError

PAGE_BLOCKS = 2_000
PAGE_LOGS = 5_000
LARGEST_PAGE_BLOCKS = 100_000
_ADDRESS = re.compile(r"0x[0-9a-f]{40}")
_WORD = re.compile(r"0x[0-9a-f]{64}")
_DATA = re.compile(r"0x(?:[0-9a-f]{2})*")

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
        if not all(map(_WORD.fullmatch, words)) or not _DATA.fullmatch(data):
            raise ValueError("not canonical hex")
        address = str(body["address"]).lower()
        if not _ADDRESS.fullmatch(address):
            raise ValueError("no address")
        numbers = [to_quantity(body[name]) for name in ("blockNumber", "transactionIndex", "logIndex")]
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise ChainUnavailableError(f"the chain gave a malformed log: {error}", "use another RPC") from error
    return Log(address, topics, data, numbers[0], words[0], words[1], numbers[1], numbers[2])


def read_logs(rpc: JsonRpc, address: str, topics: Topics, from_block: int, to_block: int) -> Iterator[Log]:
    """All logs of the contract in the range, in order; pages shrink when the endpoint refuses one.

    Raises: ChainUnavailableError, also for a log that was not asked for and for one that is out of order or repeated.
    """
    size, start, last = PAGE_BLOCKS, from_block, (-1, -1)
    while start <= to_block:
        end = min(start + size - 1, to_block)
        try:
            page = _page(rpc, address, topics, start, end)
        except RpcRefusedError as error:
            if end == start:
                raise ChainUnavailableError(f"the chain does not give the logs of block {start}: {error}") from error
            size = max(1, (end - start + 1) // 2)
            continue
        for log in page:
            if log.address != address or not start <= log.block_number <= end or log.place <= last:
                raise ChainUnavailableError(
                    "the chain gave a log twice, out of order, or one that was not asked for", "use another RPC"
                )
            last = log.place
        yield from page
        start, size = end + 1, _next_size(size, len(page))


def _page(rpc: JsonRpc, address: str, topics: Topics, start: int, end: int) -> list[Log]:
    query = {"address": address, "topics": list(topics), "fromBlock": hex(start), "toBlock": hex(end)}
    answer = rpc.call("eth_getLogs", query)
    if not isinstance(answer, list):
        raise ChainUnavailableError("the chain's answer to eth_getLogs is malformed", "use another RPC")
    return [parse_log(body) for body in answer]


def _next_size(size: int, found: int) -> int:
    if found > PAGE_LOGS:
        return max(1, size * PAGE_LOGS // found)
    return min(size * 2, LARGEST_PAGE_BLOCKS)
