"""A transaction from the call to its receipt, without the chain's own encodings."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from viz_node.domain.ids import Account


@dataclass(frozen=True)
class Call:
    """One contract call, ready to be signed; `description` tells a person what it does."""

    to: Account
    data: bytes
    description: str


@dataclass(frozen=True)
class TypedData:
    """A message that an account signs as typed data (EIP-712): types by name, with their fields' names and types."""

    types: Mapping[str, Sequence[tuple[str, str]]]
    primary_type: str
    domain: Mapping[str, str | int]
    message: Mapping[str, str | int | bytes]

    def body(self) -> dict[str, object]:
        """The form in which signers take it (`eth_signTypedData_v4`)."""
        types = {kind: [{"name": name, "type": text} for name, text in items] for kind, items in self.types.items()}
        return {
            "types": types,
            "primaryType": self.primary_type,
            "domain": dict(self.domain),
            "message": dict(self.message),
        }


@dataclass(frozen=True)
class SignedTransaction:
    """Bytes ready to broadcast, with the hash that the chain will know them by."""

    raw: bytes
    tx_hash: str
    nonce: int


@dataclass(frozen=True)
class Receipt:
    """The outcome of a transaction: status 1 = done, 0 = reverted."""

    status: int
    tx_hash: str
    block_number: int
    block_hash: str


@dataclass(frozen=True)
class Heads:
    """The numbers of the latest block, of the latest that is shown, and of the latest that is booked."""

    latest: int
    shown: int
    booked: int
