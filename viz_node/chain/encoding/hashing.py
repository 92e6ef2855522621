"""Keccak-256, and the Merkle trees over split shares and pool totals, exactly as the market contract wants them.

A leaf is `keccak(keccak(abi.encode(account, uint256(share))))`, or `(uint256(split), uint256(units))` for a pool;
each level hashes neighbors as a sorted pair, and a node without a neighbor moves up unchanged.
`tests/integration/test_chain_market.py` claims against the real contract.
"""

from collections.abc import Mapping, Sequence

from viz_node.domain.ids import Account
from viz_node.domain.keccak import keccak as keccak

Shares = Sequence[tuple[Account, int]]


def split_leaf(account: str, share: int) -> bytes:
    """The leaf of one recipient."""
    return keccak(keccak(bytes.fromhex(account[2:]).rjust(32, b"\0") + share.to_bytes(32, "big")))


def split_root(shares: Shares) -> bytes:
    """The root of a split's table, in the given order; the table must not be empty."""
    return merkle_root([split_leaf(account, share) for account, share in shares])


def split_proof(shares: Shares, account: str) -> list[bytes]:
    """The siblings from the account's leaf up to the root. Raises: ValueError if the account is not in the table."""
    position = [entry[0] for entry in shares].index(Account(account))
    return _proof([split_leaf(name, share) for name, share in shares], position)


def pool_leaf(split: int, units: int) -> bytes:
    """The leaf of what a pool allocated to one split in all."""
    return keccak(keccak(split.to_bytes(32, "big") + units.to_bytes(32, "big")))


def pool_root(totals: Mapping[int, int]) -> bytes:
    """The root of a pool's totals by split, leaves ascending by split; there must be at least one."""
    return merkle_root([pool_leaf(split, units) for split, units in sorted(totals.items())])


def pool_proof(totals: Mapping[int, int], split: int) -> list[bytes]:
    """The siblings from the split's leaf up to the root. Raises: ValueError if the pool allocated nothing to it."""
    position = sorted(totals).index(split)
    return _proof([pool_leaf(name, units) for name, units in sorted(totals.items())], position)


def pool_terms(operator: str, challenger: str, fee: int, period_seconds: int, rules: bytes) -> bytes:
    """What a subscriber agrees to, as `IPools.subscribe` compares it."""
    values = int(operator, 16), int(challenger, 16), fee, period_seconds
    return keccak(b"".join(value.to_bytes(32, "big") for value in values) + rules)


def root_from_proof(leaf: bytes, proof: Sequence[bytes]) -> bytes:
    """The root that a leaf and its siblings lead to."""
    for sibling in proof:
        leaf = _pair(leaf, sibling)
    return leaf


def merkle_root(level: list[bytes]) -> bytes:
    """The root of at least one leaf; a node without a neighbor moves up unchanged."""
    while len(level) > 1:
        level = _next_level(level)
    return level[0]


def _proof(level: list[bytes], position: int) -> list[bytes]:
    proof: list[bytes] = []
    while len(level) > 1:
        sibling = position ^ 1
        if sibling < len(level):
            proof.append(level[sibling])
        level, position = _next_level(level), position // 2
    return proof


def _pair(left: bytes, right: bytes) -> bytes:
    return keccak(left + right if left < right else right + left)


def _next_level(level: list[bytes]) -> list[bytes]:
    return [_pair(*level[i : i + 2]) if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)]
