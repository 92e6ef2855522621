"""What the chain in memory keeps, and how a transaction changes it."""

from collections.abc import Callable
from dataclasses import dataclass, field

from viz_node.chain.contract.items import item_of, number_of
from viz_node.domain.channel import Channel
from viz_node.domain.ids import Account
from viz_node.domain.market import ChainAdapter
from viz_node.domain.offer import Offer, Sale
from viz_node.domain.order import Order
from viz_node.domain.royalty import RoyaltySplit
from viz_node.domain.transaction import Call
from viz_node.errors import InsufficientFundsError, TransactionRevertedError

WINDOW_SECONDS = 600


@dataclass
class State:
    """What a transaction may change."""

    tokens: dict[str, int] = field(default_factory=dict)
    allowed: dict[str, int] = field(default_factory=dict)
    adapters: list[ChainAdapter] = field(default_factory=list)
    offers: list[Offer] = field(default_factory=list)
    key_hashes: dict[int, bytes] = field(default_factory=dict)
    splits: list[RoyaltySplit] = field(default_factory=list)
    accrued: dict[int, int] = field(default_factory=dict)
    claimed: dict[tuple[int, str], int] = field(default_factory=dict)
    licenses: dict[tuple[int, str], int] = field(default_factory=dict)
    granted: dict[tuple[int, str], int] = field(default_factory=dict)
    sales: list[Sale] = field(default_factory=list)
    orders: list[Order] = field(default_factory=list)
    channels: dict[int, Channel] = field(default_factory=dict)
    deposits: dict[int, list[tuple[int, int]]] = field(default_factory=dict)
    last_channel: int = 0
    permits: dict[str, int] = field(default_factory=dict)


class MemoryCall(Call):
    """`apply` changes the state for an account at a time, or raises."""

    def __init__(self, description: str, apply: Callable[[State, str, int], None]) -> None:
        super().__init__(Account("0x" + "77" * 20), b"", description)
        object.__setattr__(self, "apply", apply)


def pull(state: State, account: str, price: int) -> None:
    if state.allowed.get(account, 0) < price:
        raise TransactionRevertedError("the contract refused: ERC20InsufficientAllowance()")
    if state.tokens.get(account, 0) < price:
        raise InsufficientFundsError("too few tokens")
    state.tokens[account] -= price
    state.allowed[account] -= price


def item_in(state: State, number: int) -> int:
    offer = state.offers[number - 1]
    adapter = state.adapters[offer.adapter_number - 1]
    return item_of(offer, adapter.owner, adapter.manifest, state.key_hashes[number])


def require_item(state: State, item: int) -> int:
    number = number_of(item)
    if item != item_in(state, number):
        raise TransactionRevertedError("the contract refused: OtherOffer()")
    return number
