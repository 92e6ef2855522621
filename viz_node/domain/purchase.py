"""What a buyer asks of the market: a license bought directly, one delivered through the escrow, or a channel.

`item` names an offer by number and fingerprint: `viz_node/chain/contract/items.py`.
"""

from dataclasses import dataclass

from viz_node.domain.ids import Account, TokenAmount


@dataclass(frozen=True)
class Purchase:
    """A license bought directly; `order_ref` is 32 bytes that the ledger records."""

    item: int
    holder: Account
    max_price: TokenAmount
    order_ref: bytes


@dataclass(frozen=True)
class NewOrder:
    """A license granted with the key that the offer names; `point` is x || y of the buyer's fresh point B."""

    item: int
    holder: Account
    max_price: TokenAmount
    point: bytes
    order_ref: bytes


@dataclass(frozen=True)
class NewChannel:
    """Metered use: vouchers are signed by `session_account`, `max_price` is the most for one use."""

    item: int
    session_account: Account
    deposit: TokenAmount
    lifetime_seconds: int
    max_price: TokenAmount
