"""The node's keys in use: names, signatures, seals and the secrets of purchases."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from viz_node.domain.ids import Account, PeerId
from viz_node.domain.order import WrappedKey, WrongKeyProof
from viz_node.domain.usage import Voucher

VerifyBytes = Callable[[str, bytes, bytes], None]
"""Peer id, message, signature; raises VerificationError."""


class Keys(Protocol):
    """The names that go with the node's keys."""

    @property
    def account(self) -> Account: ...
    @property
    def peer_id(self) -> PeerId: ...


class SealBytes(Protocol):
    """Short secrets and texts under the node's own content key."""

    def seal(self, plain: bytes) -> bytes: ...
    def open(self, sealed: bytes) -> bytes: ...


class AccountRecovery(Protocol):
    """Whose key signed a text."""

    def recover_account(self, text: str, signature: str) -> Account: ...


class AccountSigning(Protocol):
    """Texts signed by this account; that may take as long as an external signer does."""

    def sign_as_account(self, text: str) -> str: ...


class BundleSealing(SealBytes, Protocol):
    """What turns an adapter into a signed, sealed bundle."""

    def new_key(self) -> bytes: ...
    def seal_file(self, source: Path, destination: Path, key: bytes) -> None: ...
    def sign(self, message: bytes) -> bytes: ...


class BundleOpening(SealBytes, Protocol):
    """What turns a fetched bundle into an adapter, with a key that was asked for or bought."""

    def open_sealed_file(self, source: Path, destination: Path, key: bytes) -> None: ...
    def delivery_public(self) -> bytes: ...
    def unwrap_key(self, wrapped: bytes, info: bytes) -> bytes: ...
    def sign_as_account(self, text: str) -> str: ...


class KeyWrapping(SealBytes, Protocol):
    """The key of an adapter for a licensee who has signed a request."""

    def wrap_key(self, public_x25519: bytes, key: bytes, info: bytes) -> bytes: ...


class PeerSigning(SealBytes, Protocol):
    """What this node says and keeps as a peer."""

    def sign(self, message: bytes) -> bytes: ...


class SessionSealing(SealBytes, Protocol):
    """Fresh keys of channels, and what is kept of them."""

    def new_key(self) -> bytes: ...


class KeyDelivery(Protocol):
    """The secrets of a purchase in escrow; points are x || y."""

    def new_order_secret(self) -> bytes: ...
    def point_of(self, secret: bytes) -> bytes: ...
    def key_hash(self, key: bytes) -> bytes: ...
    def wrap_for_order(self, key: bytes, buyer_point: bytes) -> WrappedKey: ...
    def open_delivery(self, secret: bytes, delivered: WrappedKey, expected: bytes) -> bytes: ...
    def prove_wrong_key(self, secret: bytes, delivered: WrappedKey) -> WrongKeyProof: ...


class VoucherSigning(Protocol):
    """Vouchers of one market; `domain` tells it from every other."""

    @property
    def domain(self) -> bytes: ...
    def session_account(self, session_key: bytes) -> Account: ...
    def sign(self, session_key: bytes, voucher: Voucher) -> bytes: ...
    def verify(self, session_account: Account, voucher: Voucher, signature: bytes) -> None: ...
