"""Links between blocks, each forged once, on a chain of headers that the test makes itself."""

from typing import Any

import pytest

from tests.fakes.header_chain import HeaderChain, header, history_of
from viz_node.audit.ancestry import (
    HISTORY_BLOCKS,
    linked_blocks,
    misplaced_logs,
    read_headers,
    unordered_times,
)
from viz_node.audit.headers import LONGEST_CHAIN, HeaderCollector
from viz_node.chain.encoding import rlp
from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.node.logs import Log
from viz_node.chain.node.proofs import AccountProof, BlockRef, parse_header
from viz_node.errors import ChainUnavailableError, VerificationError

LAST = 20_000
# Three rings deep: each keeps what is asked of it, and the block at which the next one is asked.
KEPT = {
    LAST: (LAST - 5, LAST - HISTORY_BLOCKS + 9, LAST - HISTORY_BLOCKS),
    LAST - HISTORY_BLOCKS: (7_000, LAST - 2 * HISTORY_BLOCKS),
    LAST - 2 * HISTORY_BLOCKS: (50, 40),
}
WANTED = (50, 49, 40, 7_000, 6_999, LAST - HISTORY_BLOCKS + 9, LAST - 5, LAST)


class Chain:
    """A header chain with what the tests ask of it."""

    def __init__(self, whole: HeaderChain) -> None:
        self.whole, self.headers, self.history = whole, whole.headers, whole.histories[LAST]

    def blocks(self, *numbers: int) -> dict[int, BlockRef]:
        return read_headers(self.headers[number] for number in numbers)

    @property
    def audited(self) -> BlockRef:
        return parse_header(self.headers[LAST])

    def collector(self, rpc: Any) -> HeaderCollector:
        return HeaderCollector(rpc, self.audited, self.headers[LAST])


@pytest.fixture(scope="module")
def chain() -> Chain:
    return Chain(HeaderChain(LAST, KEPT))


def test_collect__three_rings_back__every_block_is_linked_by_few_headers(chain: Chain) -> None:
    found = chain.collector(chain.whole)
    assert found.collect(WANTED) == frozenset()
    assert found.histories.keys() == KEPT.keys()
    assert len(found.headers) < 20
    blocks = read_headers(found.headers.values())
    assert set(WANTED) <= linked_blocks(chain.audited, blocks, found.histories)


class WithoutProofs:
    """An endpoint that proves nothing, with `forged` in place of some headers."""

    def __init__(self, chain: HeaderChain, forged: dict[int, bytes] | None = None) -> None:
        self._chain, self._forged = chain, forged or {}

    def call(self, method: str, *params: Any) -> Any:
        raise ChainUnavailableError("no proofs here")

    def batch(self, requests: Any) -> list[Any]:
        headers, self._chain.headers = self._chain.headers, {**self._chain.headers, **self._forged}
        try:
            return self._chain.batch(requests)
        finally:
            self._chain.headers = headers


def test_collect__without_proofs__parents_link_what_is_near_and_the_rest_is_named(chain: Chain) -> None:
    near, far = LAST - LONGEST_CHAIN, LAST - LONGEST_CHAIN - 1000
    found = chain.collector(WithoutProofs(chain.whole))
    assert found.collect((far, near, LAST)) == {far}
    assert len(found.headers) == LONGEST_CHAIN + 2


def test_collect__forged_block__is_refused_by_proofs_and_by_parents(chain: Chain) -> None:
    number = LAST - HISTORY_BLOCKS + 9
    forged = {number: header(number, keccak(chain.headers[number - 1]), time=7)}
    with pytest.raises(VerificationError, match="ancestor"):
        chain.collector(WithoutProofs(chain.whole, forged)).collect((number,))
    liar = HeaderChain(0, {})
    liar.headers, liar.histories = {**chain.headers, **forged}, chain.whole.histories
    with pytest.raises(VerificationError, match="ancestor"):
        chain.collector(liar).collect(WANTED)


def test_collect__another_number_than_asked__is_refused(chain: Chain) -> None:
    with pytest.raises(VerificationError, match="another block"):
        chain.collector(WithoutProofs(chain.whole, {7: chain.headers[8]})).collect((7,))


def test_linked__by_parent_hashes__only_as_far_as_headers_go_without_a_gap(chain: Chain) -> None:
    blocks = chain.blocks(LAST, LAST - 1, LAST - 2, LAST - 4)
    assert linked_blocks(chain.audited, blocks, {}) == {LAST, LAST - 1, LAST - 2}


def test_linked__by_the_history_contract__only_what_it_holds(chain: Chain) -> None:
    blocks = chain.blocks(LAST, *KEPT[LAST], 7)
    assert linked_blocks(chain.audited, blocks, {LAST: chain.history}) == {LAST, *KEPT[LAST]}


def test_linked__another_header_of_the_audited_block__is_refused(chain: Chain) -> None:
    with pytest.raises(VerificationError, match="ancestor"):
        linked_blocks(chain.audited, read_headers([header(LAST, bytes(32))]), {})


def test_linked__forged_time_with_a_hash_of_its_own__is_no_ancestor(chain: Chain) -> None:
    for number, histories in ((LAST - 1, {}), (LAST - 5, {LAST: chain.history})):
        forged = header(number, keccak(chain.headers[number - 1]), time=7)
        blocks = chain.blocks(LAST) | read_headers([forged])
        with pytest.raises(VerificationError, match="ancestor"):
            linked_blocks(chain.audited, blocks, histories)


def test_linked__whole_forged_branch__hangs_in_the_air(chain: Chain) -> None:
    below = header(5_100, keccak(b"side"), time=7)
    top = header(5_101, keccak(below), time=8)
    blocks = chain.blocks(LAST) | read_headers([below, top])
    assert linked_blocks(chain.audited, blocks, {LAST: chain.history}) == {LAST}


def test_linked__history_at_a_block_that_is_not_linked__proves_nothing(chain: Chain) -> None:
    forged = header(5_000, bytes(32), time=7)
    root, history = history_of({5_000: keccak(forged)})
    liar = header(6_000, bytes(32), root)
    blocks = chain.blocks(LAST) | read_headers([forged, liar])
    assert linked_blocks(chain.audited, blocks, {6_000: history}) == {LAST}


def test_linked__other_contract_or_other_state__is_refused(chain: Chain) -> None:
    root, other = history_of({LAST - 5: keccak(chain.headers[LAST - 5])}, b"\x60\x00")
    audited = parse_header(header(LAST, bytes(32), root))
    moved = AccountProof("0x" + "01" * 20, chain.history.account_nodes, chain.history.slot_nodes)
    for block, history in ((audited, other), (chain.audited, other), (chain.audited, moved)):
        with pytest.raises(VerificationError):
            linked_blocks(block, {}, {LAST: history})


@pytest.mark.parametrize("raw", [b"", b"\xc0", rlp.encode([b""] * 15), b"\xf9\xff\xff", rlp.encode([[b""]] * 15)])
def test_parse_header__malformed__is_refused(raw: bytes) -> None:
    with pytest.raises(VerificationError):
        parse_header(raw)


def test_parse_header__number_beyond_64_bits__is_refused() -> None:
    with pytest.raises(VerificationError):
        parse_header(header(1 << 64, bytes(32)))


def test_read_headers__two_of_one_number__are_refused() -> None:
    with pytest.raises(VerificationError, match="two headers"):
        read_headers([header(1, bytes(32)), header(1, b"\1" * 32)])


def test_unordered_times__a_block_older_than_its_predecessor__is_named() -> None:
    blocks = read_headers([header(1, bytes(32), time=5), header(3, bytes(32), time=5), header(9, bytes(32), time=4)])
    assert list(unordered_times(blocks)) == ["block 9 is told to be older than block 3"]


def test_misplaced_logs__bloom_without_a_topic__names_the_block() -> None:
    address, topic = "0x" + "0a" * 20, "0x" + "0b" * 32
    bloom = 0
    for raw in (bytes.fromhex(address[2:]), bytes.fromhex(topic[2:])):
        for place in (0, 2, 4):
            bloom |= 1 << (int.from_bytes(keccak(raw)[place : place + 2], "big") % 2048)
    blocks = read_headers([header(1, bytes(32), bloom=bloom), header(2, bytes(32))])
    logs = [Log(address, (topic,), "0x", number, "", "", 0, 0) for number in (1, 2)]
    assert list(misplaced_logs(blocks, logs)) == ["block 2 has no such log as the endpoint told"]
