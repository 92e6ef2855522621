"""Links between blocks, each forged once, on a chain of headers that the test makes itself."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

import pytest

from tests.tries import Trie
from viz_node.chain import rlp
from viz_node.chain.audit.ancestry import (
    HISTORY,
    HISTORY_BLOCKS,
    history_slot,
    linked_blocks,
    misplaced_logs,
    read_headers,
    unordered_times,
)
from viz_node.chain.hashing import keccak
from viz_node.chain.logs import Log
from viz_node.chain.proofs import AccountProof, BlockRef, parse_header
from viz_node.errors import VerificationError

CODE = bytes.fromhex(
    "3373fffffffffffffffffffffffffffffffffffffffe14604657602036036042575f35600143038111604257611fff814303116042"
    "57611fff9006545f5260205ff35b5f5ffd5b5f35611fff60014303065500"
)
LAST = 9_000


def header(number: int, parent: bytes, state_root: bytes = bytes(32), time: int | None = None, bloom: int = 0) -> bytes:
    numbers = [rlp.quantity(value) for value in (0, number, 10**7, 0, 1000 + number if time is None else time)]
    return rlp.encode(
        [
            parent,
            *[bytes(32)] * 2,
            state_root,
            *[bytes(32)] * 2,
            bloom.to_bytes(256, "big"),
            *numbers,
            b"",
            *[bytes(32)] * 2,
            b"\7",
        ]
    )


@dataclass
class Chain:
    """Headers by number, from 0 to `LAST`; the state of the last holds the history contract."""

    headers: dict[int, bytes]
    history: AccountProof

    def blocks(self, *numbers: int) -> dict[int, BlockRef]:
        return read_headers(self.headers[number] for number in numbers)

    @property
    def audited(self) -> BlockRef:
        return parse_header(self.headers[LAST])


WANTED = (LAST - HISTORY_BLOCKS, 5_000, 5_001)


def history_of(hashes: Mapping[int, bytes], code: bytes = CODE) -> tuple[bytes, AccountProof]:
    """A state root whose history contract holds these hashes, and the proof of them."""
    storage = Trie(
        {history_slot(n).to_bytes(32, "big"): rlp.encode(value.lstrip(b"\0")) for n, value in hashes.items()}
    )
    account = rlp.encode([b"\1", b"", storage.root, keccak(code)])
    state = Trie({bytes.fromhex(HISTORY[2:]): account, b"\1" * 20: b"other"})
    slots = [history_slot(number) for number in hashes]
    nodes = tuple((slot, storage.proof(slot.to_bytes(32, "big"))) for slot in slots)
    return state.root, AccountProof(HISTORY, state.proof(bytes.fromhex(HISTORY[2:])), nodes)


@cache
def early_headers() -> dict[int, bytes]:
    headers, parent = {}, bytes(32)
    for number in range(LAST):
        headers[number] = header(number, parent)
        parent = keccak(headers[number])
    return headers


def make_chain(code: bytes = CODE) -> Chain:
    headers = dict(early_headers())
    root, history = history_of({number: keccak(headers[number]) for number in WANTED}, code)
    headers[LAST] = header(LAST, keccak(headers[LAST - 1]), root)
    return Chain(headers, history)


@pytest.fixture(scope="module")
def chain() -> Chain:
    return make_chain()


def test_linked__by_parent_hashes__only_as_far_as_headers_go_without_a_gap(chain: Chain) -> None:
    blocks = chain.blocks(LAST, LAST - 1, LAST - 2, LAST - 4)
    assert linked_blocks(chain.audited, blocks, {}) == {LAST, LAST - 1, LAST - 2}


def test_linked__by_the_history_contract__back_to_the_whole_ring(chain: Chain) -> None:
    blocks = chain.blocks(LAST, *WANTED, 7)
    assert linked_blocks(chain.audited, blocks, {LAST: chain.history}) == {LAST, *WANTED}


def test_linked__another_header_of_the_audited_block__is_refused(chain: Chain) -> None:
    with pytest.raises(VerificationError, match="ancestor"):
        linked_blocks(chain.audited, read_headers([header(LAST, bytes(32))]), {})


def test_linked__forged_time_with_a_hash_of_its_own__is_no_ancestor(chain: Chain) -> None:
    for number, histories in ((LAST - 1, {}), (5_000, {LAST: chain.history})):
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
    other = make_chain(b"\x60\x00")
    moved = AccountProof("0x" + "01" * 20, chain.history.account_nodes, chain.history.slot_nodes)
    for of, history in ((other, other.history), (chain, other.history), (chain, moved)):
        with pytest.raises(VerificationError):
            linked_blocks(of.audited, of.blocks(LAST, *WANTED), {LAST: history})


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
