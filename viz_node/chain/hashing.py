"""Keccak-256, and the Merkle tree over a split's shares exactly as the market contract builds it.

A leaf is `keccak(keccak(abi.encode(account, uint256(share))))`; each level hashes neighbors as a sorted pair, and a
node without a neighbor moves up unchanged. `tests/integration/test_chain_market.py` claims against the real contract.
"""

from collections.abc import Sequence

from eth_hash.auto import keccak as _keccak

from viz_node.domain.ids import Account

Shares = Sequence[tuple[Account, int]]


def keccak(data: bytes) -> bytes:
    """Keccak-256, 32 bytes."""
    return bytes(_keccak(data))


def split_leaf(account: str, share: int) -> bytes:
    """The leaf of one recipient."""
    return keccak(keccak(bytes.fromhex(account[2:]).rjust(32, b"\0") + share.to_bytes(32, "big")))


def split_root(shares: Shares) -> bytes:
    """The root of a split's table, in the given order; the table must not be empty."""
    level = [split_leaf(account, share) for account, share in shares]
    while len(level) > 1:
        level = _next_level(level)
    return level[0]


def split_proof(shares: Shares, account: str) -> list[bytes]:
    """The siblings from the account's leaf up to the root. Raises: ValueError if the account is not in the table."""
    position = [entry[0] for entry in shares].index(Account(account))
    level = [split_leaf(name, share) for name, share in shares]
    proof: list[bytes] = []
    while len(level) > 1:
        sibling = position ^ 1
        if sibling < len(level):
            proof.append(level[sibling])
        level, position = _next_level(level), position // 2
    return proof


def root_from_proof(leaf: bytes, proof: Sequence[bytes]) -> bytes:
    """The root that a leaf and its siblings lead to."""
    for sibling in proof:
        leaf = _pair(leaf, sibling)
    return leaf


def _pair(left: bytes, right: bytes) -> bytes:
    return keccak(left + right if left < right else right + left)


def _next_level(level: list[bytes]) -> list[bytes]:
    return [_pair(*level[i : i + 2]) if i + 1 < len(level) else level[i] for i in range(0, len(level), 2)]
