"""What the parties of a pool do next: decided from what was read before; a plan describes it, a job carries it out.

`tests/unit/domain/test_decide_pool.py` takes every branch.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import Enum
from hashlib import sha256

from viz_node.domain.counting import counted
from viz_node.domain.decision import NothingToDo, Refusal
from viz_node.domain.division import Division
from viz_node.domain.ids import WHOLE, Account, TokenAmount, format_amount, format_moment, format_tokens
from viz_node.domain.limits import PERIODS
from viz_node.domain.pool import (
    ADOPTED,
    LAPSE_SECONDS,
    MAX_AHEAD,
    MAX_RANGE,
    PENDING,
    SILENCE_SECONDS,
    Pool,
    PoolClaim,
    PoolMember,
    PostedRoot,
)
from viz_node.domain.terms import DAY_SECONDS
from viz_node.errors import PriceAboveLimitError, RefusedError

# A third of the time in which a root can be adopted; after it the challenger does it, and then the members do.
OPERATORS_TURN = LAPSE_SECONDS // 3
# A claim takes sixty thousand gas in a batch (contracts/snapshots/Parts.json).
MOST_CREDITS = 50
_WORTH = 10
_LAST_CALL_SECONDS = 30 * DAY_SECONDS


@dataclass(frozen=True)
class SubscriptionFacts:
    """A pool, its `current` period, and the periods that are paid for this account, by whomever."""

    pool: Pool
    current: int
    paid: Collection[int]


@dataclass(frozen=True)
class AskedPeriods:
    """How many periods, for how much in all; `terms` of the pool that was meant, in hex, empty for whichever it is.

    Raises: UsageError (out of range).
    """

    periods: int
    limit: TokenAmount
    terms: str = ""

    def __post_init__(self) -> None:
        PERIODS.check(self.periods)


@dataclass(frozen=True)
class Subscribing:
    """Pay `wanted` for `fee` in all; `skipped` lie between them and are paid already."""

    wanted: tuple[int, ...]
    skipped: tuple[int, ...]
    fee: TokenAmount


@dataclass(frozen=True)
class JoinFacts:
    """This account and the pool; of the adapter the name, its owner, its number on the chain and its split."""

    account: Account
    place: str
    name: str
    owner: Account
    adapter: int
    split_id: int


@dataclass(frozen=True)
class DivisionFacts:
    """All roots of a pool, what its periods up to `through` come to (None: nothing was paid), and vetoed divisions.

    `vetoed` has the digest of each vetoed root's data; and the data, where contract accounts matter and it is here.
    """

    roots: Sequence[PostedRoot]
    vetoed: Mapping[bytes, Division | None]
    through: int
    division: Division | None


@dataclass(frozen=True)
class DueDivision:
    """Post the root of `division`, which covers the periods up to `through`."""

    through: int
    division: Division


@dataclass(frozen=True)
class Due:
    """Units that a split is not credited yet, and what of them comes to this account; there is time `until` then."""

    claim: PoolClaim
    brought: int
    until: int


class PeriodStep(Enum):
    """What a subscriber does about a period that is over."""

    STATE_USES = "state uses"
    CALL_BACK = "call back the fee"
    CALL_BACK_REST = "call back the rest"
    WAIT = "wait"


def root_over(period: int, roots: Sequence[PostedRoot]) -> PostedRoot | None:
    """The root that divides the period, or may: neither vetoed nor lapsed."""
    counting = [root for root in roots if root.state in (PENDING, ADOPTED)]
    return next((root for root in reversed(counting) if root.first <= period <= root.through), None)


def decide_period(end: int, root: PostedRoot | None, now: int) -> PeriodStep:
    """Uses of a period that is over at `end` are stated until it may be refunded; `root` is that of `root_over`."""
    if root is not None and root.state == ADOPTED:
        return PeriodStep.CALL_BACK_REST if now >= root.until else PeriodStep.WAIT
    if end + SILENCE_SECONDS > now:
        return PeriodStep.STATE_USES
    return PeriodStep.CALL_BACK if root is None else PeriodStep.WAIT


class Duty(Enum):
    """What a party of a pool has to do about its roots."""

    ADOPT = "adopt"
    CHECK = "check"
    DIVIDE = "divide"
    REST = "rest"


def decide_subscription(facts: SubscriptionFacts, asked: AskedPeriods) -> Subscribing | Refusal:
    """Pay from the first period that is not paid; those that somebody gave are passed over, and cost nothing."""
    pool, current, paid = facts.pool, facts.current, facts.paid
    show = f"viz-node pool show {pool.number}"
    if asked.terms not in ("", pool.terms.hex()):
        return Refusal(RefusedError, f"pool {pool.number} is not the one that was ordered", show)
    first = next(period for period in range(current, current + MAX_AHEAD + 1) if period not in paid)
    row = range(first, first + asked.periods)
    if row.stop > current + MAX_AHEAD:
        until, last = format_moment(pool.end_of(first - 1)), format_moment(pool.end_of(row[-1]))
        return Refusal(RefusedError, f"pool {pool.number} is paid until {until}; {last} is too far ahead", show)
    wanted = tuple(period for period in row if period not in paid)
    fee = TokenAmount(pool.fee * len(wanted))
    if fee > asked.limit:
        cost = f"{counted(len(wanted), 'period')} of pool {pool.number} cost {format_tokens(fee)}"
        order = f"viz-node pool subscribe {pool.number} --periods {asked.periods} --max-price {format_amount(fee)}"
        return Refusal(PriceAboveLimitError, f"{cost}, more than {format_tokens(asked.limit)}", order)
    return Subscribing(wanted, tuple(period for period in row if period in paid), fee)


def decide_join(facts: JoinFacts) -> PoolMember | Refusal:
    """The membership to sign, for an own adapter."""
    if facts.owner != facts.account:
        return Refusal(RefusedError, f"{facts.name} belongs to another owner", "see `viz-node adapters list`")
    return PoolMember(facts.place, facts.adapter, facts.account, facts.split_id)


def decide_operator(pool: Pool, account: Account) -> Pool | Refusal:
    """Whether the account may divide the pool."""
    if pool.operator != account:
        return Refusal(RefusedError, f"pool {pool.number} is run by {pool.operator}", "viz-node pool list")
    return pool


def due_periods(pool: Pool, grace_seconds: int, now: int) -> tuple[int, int]:
    """The first and the last period that a root may cover now; the last is before the first if there is none."""
    first = pool.first_allocable(now)
    return first, min(pool.period_at(now - grace_seconds) - 1, first + MAX_RANGE - 1)


def pending_root(roots: Sequence[PostedRoot]) -> PostedRoot | None:
    """The newest root, while it may be vetoed or adopted."""
    return roots[-1] if roots and roots[-1].state == PENDING else None


def decide_division(facts: DivisionFacts) -> DueDivision | NothingToDo:
    """Whether a root is posted: not while one is pending, and not one that was struck out, whatever the block at which
    contract accounts were asked: posted again as it is, it would be struck out again, and cost gas each time.
    """
    if pending_root(facts.roots) is not None or facts.division is None:
        return NothingToDo()
    if sha256(facts.division.payload()).digest() in facts.vetoed:
        return NothingToDo(_STRUCK_OUT)
    block, vetoed = facts.division.wallets_block, [item for item in facts.vetoed.values() if item is not None]
    if block and any(replace(item, wallets_block=block) == facts.division for item in vetoed):
        return NothingToDo(_STRUCK_OUT)
    return DueDivision(facts.through, facts.division)


_STRUCK_OUT = "its challenger has struck out exactly this division"


def decide_duty(pool: Pool, account: Account, roots: Sequence[PostedRoot], veto_window: int, now: int) -> Duty:
    """What the account does for a pool that it runs or watches; the challenger adopts only when the operator rests."""
    pending, is_challenger = pending_root(roots), pool.challenger == account
    if pending is None:
        return Duty.DIVIDE if pool.operator == account else Duty.REST
    if now >= pending.adoptable_at + (min(veto_window, OPERATORS_TURN) if is_challenger else 0):
        return Duty.ADOPT
    return Duty.CHECK if is_challenger else Duty.REST


def dues_of(left: Sequence[PoolClaim], shares: Mapping[int, int], until: int) -> list[Due]:
    """What uncredited claims bring to the account that has these shares of their splits, in basis points."""
    return [Due(claim, claim.units * shares[claim.split_id] // WHOLE, until) for claim in left]


def decide_credit(dues: Sequence[Due], cost: int, now: int) -> bool:
    """Whether crediting is worth `cost` units: it brings ten times that, or as much and its last month has begun."""
    is_late = min(due.until for due in dues) - now < _LAST_CALL_SECONDS
    return cost * (1 if is_late else _WORTH) <= sum(due.brought for due in dues)
