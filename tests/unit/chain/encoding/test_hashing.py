"""Merkle trees over shares: the proofs lead to the root, and nothing else does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from viz_node.chain.encoding.hashing import (
    keccak,
    pool_leaf,
    pool_proof,
    pool_root,
    root_from_proof,
    split_leaf,
    split_proof,
    split_root,
)
from viz_node.domain.ids import Account

ACCOUNTS = st.lists(st.integers(1, 2**160 - 1), min_size=1, max_size=40, unique=True).map(
    lambda numbers: [(Account(f"0x{number:040x}"), 1 + index) for index, number in enumerate(sorted(numbers))]
)


def test_keccak__empty_input__is_the_known_digest() -> None:
    assert keccak(b"").hex() == "c5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"


@given(ACCOUNTS)
def test_split_proof__every_recipient__leads_to_the_root(shares: list[tuple[Account, int]]) -> None:
    root = split_root(shares)
    for account, share in shares:
        proof = split_proof(shares, account)
        assert root_from_proof(split_leaf(account, share), proof) == root
        assert root_from_proof(split_leaf(account, share + 1), proof) != root


def test_split_root__three_leaves__promotes_the_odd_one() -> None:
    shares = [(Account(f"0x{number:040x}"), 100 * number) for number in (1, 2, 3)]
    one, two, three = (split_leaf(account, share) for account, share in shares)
    pair = keccak(min(one, two) + max(one, two))
    assert split_root(shares) == keccak(min(pair, three) + max(pair, three))
    assert split_proof(shares, shares[2][0]) == [pair]


def test_split_proof__stranger__raises() -> None:
    with pytest.raises(ValueError, match="not in list"):
        split_proof([(Account("0x" + "01" * 20), 10_000)], "0x" + "02" * 20)


@given(st.dictionaries(st.integers(1, 2**32 - 1), st.integers(1, 2**128 - 1), min_size=1, max_size=40))
def test_pool_proof__every_split__leads_to_the_root(totals: dict[int, int]) -> None:
    root = pool_root(totals)
    assert root == pool_root(dict(reversed(totals.items())))
    for split, units in totals.items():
        proof = pool_proof(totals, split)
        assert root_from_proof(pool_leaf(split, units), proof) == root
        assert root_from_proof(pool_leaf(split, units + 1), proof) != root
