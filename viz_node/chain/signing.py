"""Sign EIP-1559 transactions; the only place that sees an account's private key."""

from dataclasses import dataclass
from typing import Any

from viz_node.chain.rpc import to_hex
from viz_node.domain.ids import Account


@dataclass(frozen=True)
class SignedTransaction:
    """Bytes ready to broadcast, with the hash that the chain will know them by."""

    raw: bytes
    tx_hash: str
    nonce: int


@dataclass(frozen=True)
class Fees:
    """Gas limit and the two EIP-1559 prices, in wei per gas."""

    gas: int
    max_fee: int
    priority_fee: int

    def cost_wei(self) -> int:
        """The most that the transaction may cost."""
        return self.gas * self.max_fee


def account_of_key(private_key: bytes) -> Account:
    """The account of a secp256k1 key."""
    return Account(str(_eth_account().from_key(private_key).address).lower())


def sign_transaction(
    private_key: bytes, chain_id: int, nonce: int, to: str | None, data: bytes, fees: Fees
) -> SignedTransaction:
    """Sign a call of `to`, or a contract creation when it is None."""
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
    signed = _eth_account().sign_transaction(fields, private_key)
    return SignedTransaction(bytes(signed.raw_transaction), to_hex(bytes(signed.hash)), nonce)


def sign_typed_data(private_key: bytes, data: dict[str, Any]) -> bytes:
    """Sign EIP-712 typed data: 65 bytes, r || s || v with v 27 or 28."""
    signed = _eth_account().sign_typed_data(private_key, full_message=data)
    return bytes(signed.signature)


def _eth_account() -> Any:
    # Imported here: reading and auditing need no key, and this import costs more than all the rest.
    from eth_account import Account as EthAccount

    return EthAccount
