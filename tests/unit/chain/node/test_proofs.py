"""Proofs of strangers: whatever they hold, they prove what is there or are refused. RLP next to the usual library."""

import time

import pytest
import rlp as library
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.tries import Trie
from viz_node.chain.encoding import rlp
from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.encoding.tries import read_proof
from viz_node.chain.node.proofs import LONGEST_NODE_BYTES, MOST_NODES, AccountProof, verify_proof
from viz_node.errors import VerificationError

ADDRESS = "0x" + "01" * 20
SLOTS = {number: 1000 + number for number in range(40)}
CODE = keccak(b"code")


def words_of(number: int) -> bytes:
    return number.to_bytes(32, "big")


STORAGE = Trie({words_of(slot): rlp.encode(words_of(value)) for slot, value in SLOTS.items()})
STATE = Trie(
    {bytes.fromhex(ADDRESS[2:]): rlp.encode([b"\1", b"", STORAGE.root, CODE])}
    | {bytes([number]) * 20: words_of(number) * 3 for number in range(2, 40)}
)
TRUE = AccountProof(
    ADDRESS,
    STATE.proof(bytes.fromhex(ADDRESS[2:])),
    tuple((slot, STORAGE.proof(words_of(slot))) for slot in (0, 7, 99)),
)

items = st.recursive(st.binary(max_size=70), lambda inner: st.lists(inner, max_size=17), max_leaves=40)
nodes = st.one_of(
    st.binary(max_size=600),
    items.map(rlp.encode),
    st.sampled_from([bytes.fromhex(node[2:]) for node in TRUE.account_nodes + TRUE.slot_nodes[0][1]]),
).map(lambda raw: "0x" + raw.hex())


def test_verify_proof__true_one__gives_code_and_slots_also_the_empty_one() -> None:
    proven = verify_proof(STATE.root, TRUE)
    assert (proven.code_digest, proven.slots) == (CODE.hex(), {0: 1000, 7: 1007, 99: 0})


@settings(max_examples=100, deadline=None)
@given(st.lists(nodes, max_size=6), st.lists(nodes, max_size=6), st.integers(0, 50))
def test_verify_proof__any_nodes__are_refused(account: list[str], slot: list[str], number: int) -> None:
    for proof in (
        AccountProof(ADDRESS, tuple(account), ()),
        AccountProof(ADDRESS, TRUE.account_nodes, ((number, tuple(slot)),)),
    ):
        try:
            proven = verify_proof(STATE.root, proof)
        except VerificationError:
            continue
        assert proven.slots in ({}, {number: SLOTS.get(number, 0)})


@settings(max_examples=100, deadline=None)
@given(st.data())
def test_verify_proof__true_one_damaged__is_refused(data: st.DataObject) -> None:
    honest = list(TRUE.account_nodes)
    place = data.draw(st.integers(0, len(honest) - 1))
    damage = data.draw(st.sampled_from(["cut", "bit", "drop", "twice", "foreign", "grown"]))
    node = honest[place]
    at = 2 * data.draw(st.integers(1, len(node) // 2 - 1))
    changed = {
        "cut": [node[:at]],
        "bit": [f"{node[:at]}{int(node[at : at + 2], 16) ^ 1:02x}{node[at + 2 :]}"],
        "drop": [],
        "twice": [node, node],
        "foreign": [node, *TRUE.slot_nodes[0][1]],
        "grown": [node + "00"],
    }[damage]
    with pytest.raises(VerificationError):
        verify_proof(STATE.root, AccountProof(ADDRESS, tuple(honest[:place] + changed + honest[place + 1 :]), ()))


@settings(max_examples=100, deadline=None)
@given(items)
def test_read_proof__trie_made_by_the_liar__raises_nothing_but_value_errors(top: object) -> None:
    """With a header of his own a liar chooses the root, so the hash of the top node says nothing about its shape."""
    raw = rlp.encode(top)
    try:
        value = read_proof(keccak(raw), b"key", [raw])
    except ValueError:
        return
    assert isinstance(value, bytes)


@pytest.mark.parametrize(
    "account",
    [
        rlp.encode([b"\1", b"", STORAGE.root]),
        rlp.encode([b"\1", b"", [STORAGE.root], CODE]),
        rlp.encode([b"\1", b"", STORAGE.root, [CODE]]),
        rlp.encode([b"\1", b"", b"", CODE]),
        rlp.encode(words_of(7)),
        b"\xf9" + bytes(40),
    ],
)
def test_verify_proof__account_of_another_shape__is_refused(account: bytes) -> None:
    state = Trie({bytes.fromhex(ADDRESS[2:]): account, b"\2" * 20: bytes(40)})
    proof = AccountProof(ADDRESS, state.proof(bytes.fromhex(ADDRESS[2:])), TRUE.slot_nodes)
    with pytest.raises(VerificationError):
        verify_proof(state.root, proof)


@pytest.mark.parametrize("value", [b"\xc0", rlp.encode([b"\1"]), rlp.encode(bytes(33)), b"\x81\x01"])
def test_verify_proof__slot_that_is_no_word__is_refused(value: bytes) -> None:
    storage = Trie({words_of(0): value, words_of(1): b"\7" * 33})
    account = rlp.encode([b"\1", b"", storage.root, CODE])
    state = Trie({bytes.fromhex(ADDRESS[2:]): account, b"\2" * 20: bytes(40)})
    nodes = state.proof(bytes.fromhex(ADDRESS[2:]))
    with pytest.raises(VerificationError):
        verify_proof(state.root, AccountProof(ADDRESS, nodes, ((0, storage.proof(words_of(0))),)))


@pytest.mark.parametrize(
    "nodes",
    [
        ("0x" + "c1" * 900,),
        ("0x" + "f8ff" * 400,),
        ("0xzz",),
        ("",),
    ],
)
def test_verify_proof__huge_or_nested_nodes__are_refused_at_once(nodes: tuple[str, ...]) -> None:
    began = time.process_time()
    with pytest.raises(VerificationError):
        verify_proof(STATE.root, AccountProof(ADDRESS, nodes, ()))
    assert time.process_time() - began < 0.5


@pytest.mark.parametrize("nodes", [("0x" + "00" * LONGEST_NODE_BYTES,), TRUE.account_nodes * MOST_NODES])
def test_verify_proof__more_or_larger_nodes_than_a_trie_has__are_not_even_read(nodes: tuple[str, ...]) -> None:
    with pytest.raises(VerificationError) as refusal:
        verify_proof(STATE.root, AccountProof(ADDRESS, nodes, ()))
    assert "too large" in str(refusal.value.__cause__)


@settings(max_examples=200, deadline=None)
@given(st.one_of(st.binary(max_size=80), items.map(rlp.encode)), st.data())
def test_rlp_decode__any_bytes__are_read_or_refused_as_by_the_usual_library(raw: bytes, data: st.DataObject) -> None:
    if raw and data.draw(st.booleans()):
        place = data.draw(st.integers(0, len(raw) - 1))
        marks = [0, 0x7F, 0x80, 0x81, 0xB7, 0xB8, 0xBF, 0xC0, 0xC1, 0xF7, 0xF8, 0xFF]
        raw = raw[:place] + bytes([data.draw(st.sampled_from(marks))]) + raw[place + 1 :]
    try:
        expected = library.decode(raw)
    except library.DecodingError:
        expected = None
    try:
        assert rlp.decode(raw) == expected
    except ValueError:
        assert expected is None


@given(items)
def test_rlp_encode__any_item__is_written_as_by_the_usual_library(item: object) -> None:
    assert rlp.encode(item) == library.encode(item)
    assert rlp.decode(rlp.encode(item)) == item
