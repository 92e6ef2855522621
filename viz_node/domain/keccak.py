"""Keccak-256, which the chain computes accounts, entries and keys with."""

try:
    # Four times as fast as the other one, and an audit does little else; it has no wheel for some machines.
    from sha3 import keccak_256
except ImportError:
    keccak_256 = None

from eth_hash.auto import keccak as _keccak


def keccak(data: bytes) -> bytes:
    """The digest, 32 bytes."""
    return bytes(_keccak(data)) if keccak_256 is None else keccak_256(data).digest()
