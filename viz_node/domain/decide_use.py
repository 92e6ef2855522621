"""Whether a paid use is served, and whether a channel is redeemed: decided from what was read before.

`tests/unit/domain/test_decide_use.py` takes every branch.
"""

from collections.abc import Collection
from dataclasses import dataclass

from viz_node.domain.channel import Channel, EarnedRecord
from viz_node.domain.counting import counted
from viz_node.domain.decision import Refusal
from viz_node.domain.ids import TokenAmount
from viz_node.domain.usage import UsageTree, Voucher
from viz_node.errors import RefusedError, VerificationError

# No oracle tells what a coin is worth in tokens: a channel is redeemed when it owes a token, and before it closes when
# it owes at least a hundredth. Redeeming takes 50 000 gas (contracts/snapshots/Parts.json).
_WORTH_REDEEMING = TokenAmount(1_000_000)
_WORTH_AT_THE_END = TokenAmount(10_000)


@dataclass(frozen=True)
class NextUse:
    """The voucher that pays for the next use, if its signature holds, and the tree over the uses before."""

    voucher: Voucher
    tree: UsageTree


@dataclass(frozen=True)
class ServingFacts:
    """What the chain says at `now`: the metered offers of the adapter, and the deposit that no reorganisation takes."""

    offers: Collection[int]
    now: int
    close_window_seconds: int
    safe_deposit: int


def kept_of(channel: Channel, kept: EarnedRecord | None) -> EarnedRecord | None:
    """What is kept of the channel, unless a reorganisation gave its number to another one."""
    return kept if kept is not None and kept.session in ("", channel.session_account) else None


def decide_next_use(channel: Channel, kept: EarnedRecord | None, uses: int) -> NextUse | Refusal:
    """Use `uses` of the channel is served only after the one before, and not once it is redeemed."""
    record = kept_of(channel, kept)
    done = record.uses if record else channel.uses
    if uses != done + 1 or uses <= channel.uses:
        told = f"channel {channel.number} is paid for {counted(done, 'use')}, so that {done + 1} is next"
        return Refusal(VerificationError, told, f"viz-node channel close {channel.number}, and open another")
    tree = UsageTree(record.tree if record else ())
    return NextUse(Voucher(channel.number, TokenAmount(uses * channel.price), uses, tree.root()), tree)


def refuse_deposit(channel: Channel, cumulative: int) -> Refusal | None:
    """Why the deposit does not pay for all uses so far."""
    if cumulative <= channel.deposit:
        return None
    top_up = f"viz-node channel top-up {channel.number} 1.00"
    return Refusal(RefusedError, f"the deposit of channel {channel.number} is used up", top_up)


def refuse_serving(channel: Channel, facts: ServingFacts, adapter_id: str, cumulative: int) -> Refusal | None:
    """Why the channel does not pay for this adapter, not for long enough, or not safely yet."""
    if channel.offer_id not in facts.offers:
        return Refusal(RefusedError, f"channel {channel.number} pays for another adapter", "viz-node channel list")
    if channel.close_at - facts.now <= facts.close_window_seconds:
        another = f"viz-node channel open {adapter_id} --deposit 2.00"
        return Refusal(RefusedError, f"channel {channel.number} is about to close", another)
    if cumulative > facts.safe_deposit:
        told = f"the deposit of channel {channel.number} is not safe yet"
        return Refusal(RefusedError, told, "try again in some minutes")
    return None


def is_worth_redeeming(channel: Channel, uses: int, ends_from: int) -> bool:
    """Whether `uses` uses owe enough; a channel that closes by `ends_from` is in its last window."""
    owed = (uses - channel.uses) * channel.price
    return owed >= (_WORTH_AT_THE_END if channel.close_at <= ends_from else _WORTH_REDEEMING)
