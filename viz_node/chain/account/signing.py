"""Sign EIP-1559 transactions and typed data; `KeySigner` is the only place that sees an account's private key."""

from dataclasses import dataclass
from typing import Any, Protocol

from viz_node.chain.node.rpc import to_hex
from viz_node.domain.ids import Account
from viz_node.domain.transaction import SignedTransaction, TypedData


@dataclass(frozen=True)
class Fees:
    """Gas limit, the two EIP-1559 prices in wei per gas, and in wei what a rollup takes for posting the data."""

    gas: int
    max_fee: int
    priority_fee: int
    data_fee: int = 0

    def cost_wei(self) -> int:
        """The most that the transaction may cost."""
        return self.gas * self.max_fee + self.data_fee


class Signer(Protocol):
    """Who signs for one account: a key of this process, or a program elsewhere."""

    @property
    def account(self) -> Account: ...
    @property
    def asks_nobody(self) -> bool:
        """Whether it signs without asking a person or a program, so that a signature may be made only to simulate."""
        ...

    def sign_transaction(self, fields: dict[str, Any]) -> SignedTransaction:
        """Sign a transaction of type 2, its fields as `transaction_fields` names them."""
        ...

    def sign_typed_data(self, data: TypedData) -> bytes:
        """Sign EIP-712 typed data: 65 bytes, r || s || v with v 27 or 28."""
        ...

    def sign_text(self, text: str) -> str:
        """Sign a text (EIP-191): `0x` and 130 hex digits."""
        ...


class KeySigner:
    """Signs with a secp256k1 key in memory."""

    asks_nobody = True

    def __init__(self, private_key: bytes) -> None:
        self._private_key = private_key
        self.account = account_of_key(private_key)

    def sign_transaction(self, fields: dict[str, Any]) -> SignedTransaction:
        """As Signer."""
        signed = _eth_account().sign_transaction(fields, self._private_key)
        return SignedTransaction(bytes(signed.raw_transaction), to_hex(bytes(signed.hash)), int(fields["nonce"]))

    def sign_typed_data(self, data: TypedData) -> bytes:
        """As Signer."""
        return bytes(_eth_account().sign_typed_data(self._private_key, full_message=data.body()).signature)

    def sign_text(self, text: str) -> str:
        """As Signer."""
        from eth_account.messages import encode_defunct

        return to_hex(bytes(_eth_account().sign_message(encode_defunct(text=text), self._private_key).signature))


def account_of_key(private_key: bytes) -> Account:
    """The account of a secp256k1 key."""
    return Account(str(_eth_account().from_key(private_key).address).lower())


def transaction_fields(chain_id: int, nonce: int, to: str | None, data: bytes, fees: Fees) -> dict[str, Any]:
    """The fields of a call of `to`, or of a contract creation when it is None."""
    fields: dict[str, Any] = {
        "type": 2,
        "chainId": chain_id,
        "nonce": nonce,
        "gas": fees.gas,
        "maxFeePerGas": fees.max_fee,
        "maxPriorityFeePerGas": fees.priority_fee,
        "value": 0,
        "data": to_hex(data),
    }
    if to is not None:
        fields["to"] = bytes.fromhex(to[2:])
    return fields


def fields_of(raw: bytes) -> dict[str, Any]:
    """The fields of a transaction that this node signed, without its signature."""
    # Imported here: reading and auditing need no key, and this import costs more than all the rest.
    from eth_account.typed_transactions import TypedTransaction
    from hexbytes import HexBytes

    fields = dict(TypedTransaction.from_bytes(HexBytes(raw)).as_dict())
    return {name: value for name, value in fields.items() if name not in ("v", "r", "s", "accessList")}


def _eth_account() -> Any:
    # Imported here for the same reason.
    from eth_account import Account as EthAccount

    return EthAccount
