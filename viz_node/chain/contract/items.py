"""What purchases name: an offer's number and, above it, the fingerprint of what is offered, as IOffers.itemOf has it.

A number alone says nothing: after a reorganisation of the chain, or on the word of a lying endpoint, it belongs to
somebody else. The buyer's node computes the fingerprint from the manifest that the seller signed and the terms that
were shown, and the market refuses to sell anything else.
"""

from collections.abc import Sequence

from viz_node.chain.encoding.abi import encode
from viz_node.chain.encoding.hashing import keccak, split_root
from viz_node.domain.offer import Offer

METERED, ESCROWED, WITHDRAWN, SUSPENDED = 1, 2, 4, 8
"""The flags of an offer; a fingerprint holds the first two, which never change."""
NUMBER_BITS = 64
NO_KEY = bytes(32)
"""Stands for the hash of a key where none is delivered."""
_KINDS = ("address", "bytes32", "bytes32", "bytes32", "uint64", "uint32", "uint8", "uint16", "uint16")


def item_of(offer: Offer, owner: str, manifest: bytes, key_hash: bytes) -> int:
    """The item of an offer of `owner` for the adapter with this manifest digest and key hash (keccak256 of its key)."""
    flags = offer.is_metered * METERED | offer.is_escrowed * ESCROWED
    said_by_owner = owner, manifest, split_root(offer.shares), key_hash if offer.is_escrowed else NO_KEY
    terms = int(offer.floor), offer.duration_seconds, flags, offer.max_rise, offer.target
    return make_item(offer.offer_id, said_by_owner, terms)


def make_item(number: int, said_by_owner: tuple[str, bytes, bytes, bytes], terms: Sequence[int]) -> int:
    """The item of owner, manifest, root of the split and key hash, and of price, duration, flags, rise and target."""
    fingerprint = keccak(encode(_KINDS, (*said_by_owner, *terms)))[:24]
    return int.from_bytes(fingerprint) << NUMBER_BITS | number


def number_of(item: int) -> int:
    """The number of the offer that an item names."""
    return item & (1 << NUMBER_BITS) - 1
