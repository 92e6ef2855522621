"""Whether a channel is opened, topped up or closed, and what that comes to: decided from what was read before.

A plan describes the decision, the job carries it out. `tests/unit/domain/test_decide_channel.py` takes every branch.
"""

from dataclasses import dataclass

from viz_node.domain.channel import PaidChannel
from viz_node.domain.decision import NothingToDo, Refusal
from viz_node.domain.ids import Account, TokenAmount, format_amount, format_span, format_tokens
from viz_node.domain.limits import CHANNEL_DAYS
from viz_node.domain.offer import Offer
from viz_node.domain.terms import DAY_SECONDS
from viz_node.errors import NotFoundError, RefusedError, UsageError


@dataclass(frozen=True)
class ChannelFacts:
    """An adapter's name and its offer, and how long before its end a channel of this market is not served any more."""

    name: str
    offer: Offer
    close_window_seconds: int


@dataclass(frozen=True)
class AskedChannel:
    """How much to lock, and for how long. Raises: UsageError (out of range)."""

    deposit: TokenAmount
    days: int

    def __post_init__(self) -> None:
        CHANNEL_DAYS.check(self.days)


@dataclass(frozen=True)
class Opening:
    """Lock `deposit` for `lifetime_seconds`; it pays `uses` uses at `price`, in `served_days` days."""

    deposit: TokenAmount
    lifetime_seconds: int
    price: TokenAmount
    uses: int
    served_days: int


@dataclass(frozen=True)
class TopUp:
    """Add `amount` to the deposit of the channel with this session; it pays `uses_left` uses at `price` then."""

    session: Account
    amount: TokenAmount
    price: TokenAmount
    uses_left: int


@dataclass(frozen=True)
class Closing:
    """Ask for the close; `rest` comes back."""

    rest: TokenAmount


def decide_channel(facts: ChannelFacts, asked: AskedChannel) -> Opening | Refusal:
    """Whether a channel is opened; with no use at all it is of no use."""
    name, offer, window = facts.name, facts.offer, facts.close_window_seconds
    if not offer.is_metered:
        buy = f"viz-node license {name} --max-price {format_amount(offer.price)}"
        return Refusal(RefusedError, f"{name} is not paid per use", buy)
    if not offer.is_open:
        return Refusal(RefusedError, f"{name} is no longer for sale", "viz-node search")
    if asked.deposit < offer.price:
        hint = f"viz-node channel open {name} --deposit {format_amount(offer.price)}"
        return Refusal(UsageError, f"one use of {name} costs {format_tokens(offer.price)}", hint)
    lifetime = asked.days * DAY_SECONDS
    if lifetime <= window:
        hint = f"--days {window // DAY_SECONDS + 1}, or more"
        return Refusal(UsageError, f"a channel is not served in its last {format_span(window)}", hint)
    uses, served = asked.deposit // offer.price, (lifetime - window) // DAY_SECONDS
    return Opening(asked.deposit, lifetime, offer.price, uses, served)


def decide_top_up(paid: PaidChannel, amount: TokenAmount) -> TopUp | Refusal:
    """Whether more money is of use in the channel."""
    if paid.channel is None or paid.record is None or paid.seconds_left <= 0:
        message = f"channel {paid.number} is closed or closing, or its key is lost"
        return Refusal(RefusedError, message, "viz-node channel open ADAPTER --deposit 2.00")
    price = paid.record.price
    return TopUp(paid.record.session, amount, price, (paid.rest + amount) // price)


def decide_close(paid: PaidChannel) -> Closing | NothingToDo | Refusal:
    """Whether the close is asked for: not if it was already, or the channel is about to end without."""
    if paid.channel is None:
        return Refusal(NotFoundError, f"channel {paid.number} is not open", "viz-node channel list")
    return Closing(paid.rest) if paid.seconds_left > 0 else NothingToDo()
