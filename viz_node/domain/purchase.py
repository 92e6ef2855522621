"""What a buyer asks of the market: a license bought directly, one delivered through the escrow, or a channel."""

from dataclasses import dataclass

from viz_node.domain.ids import Account, TokenAmount


@dataclass(frozen=True)
class Purchase:
    """A license bought directly; `order_ref` is 32 bytes that the ledger records."""

    offer_id: int
    holder: Account
    max_price: TokenAmount
    order_ref: bytes


@dataclass(frozen=True)
class NewOrder:
    """A license granted with its key: `key_hash` from the manifest, `point` x || y of the buyer's fresh point B."""

    offer_id: int
    holder: Account
    max_price: TokenAmount
    key_hash: bytes
    point: bytes
    order_ref: bytes


@dataclass(frozen=True)
class NewChannel:
    """Metered use: vouchers are signed by `session_account`, `max_price` is the most for one use."""

    offer_id: int
    session_account: Account
    deposit: TokenAmount
    lifetime_seconds: int
    max_price: TokenAmount
