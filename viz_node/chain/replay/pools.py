"""Replay of catalogue pools: fees per period, posted roots, what was credited from them, and what went back."""

from bisect import bisect_left
from collections import defaultdict
from dataclasses import dataclass, field

from viz_node.chain.contract.ledger import EntryKind, LedgerEntry
from viz_node.chain.encoding.hashing import pool_terms
from viz_node.chain.replay.book import LAST_TIME, NOBODY, Book, account_of
from viz_node.chain.replay.splits import Splits
from viz_node.domain.ids import Account
from viz_node.domain.pool import CREDIT_SECONDS, LAPSE_SECONDS, MAX_AHEAD, MAX_RANGE, SILENCE_SECONDS

DAY_SECONDS = 86_400
LONGEST_PERIOD = 366 * DAY_SECONDS
PENDING, VETOED, ADOPTED, LAPSED = "pending", "vetoed", "adopted", "lapsed"
_NUMBER = (1 << 64) - 1


@dataclass
class PostedRoot:
    """A root by the entry that posted it, with the subscribers of its periods then; `digest` is that of its data.

    Once adopted: `left` units to credit or refund, `credits` by split, and `fees` that may get a part of the rest back
    after `until`. One that nobody adopted in time is pending until the next one is posted.
    """

    sequence: int
    root: bytes
    digest: bytes
    amount: int
    first: int
    through: int
    adoptable_at: int
    subscribers: dict[int, list[Account]]
    state: str = PENDING
    until: int = 0
    left: int = 0
    fees: int = 0
    credits: dict[int, int] = field(default_factory=dict)

    def covers(self, period: int) -> bool:
        """Whether the root divides the period."""
        return self.first <= period <= self.through


@dataclass
class PoolState:
    """A pool; `income` holds the fees that wait in each period, `adopted` places in `roots` by their last periods."""

    number: int
    operator: Account
    challenger: Account
    fee: int
    period_seconds: int
    start: int
    rules: bytes
    next_period: int = 0
    roots: list[PostedRoot] = field(default_factory=list)
    income: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    payers: dict[int, dict[Account, Account]] = field(default_factory=lambda: defaultdict(dict))
    adopted: dict[int, int] = field(default_factory=dict)

    @property
    def terms(self) -> bytes:
        """What subscribers agree to, as the contract keeps it."""
        return pool_terms(self.operator, self.challenger, self.fee, self.period_seconds, self.rules)

    def pending(self, time: int) -> PostedRoot | None:
        """The root that may be vetoed or adopted."""
        last = self.roots[-1] if self.roots else None
        return last if last and last.state == PENDING and time < last.adoptable_at + LAPSE_SECONDS else None

    def root_over(self, period: int) -> PostedRoot | None:
        """The adopted root that divides the period; they were adopted in the order of their periods."""
        ends = list(self.adopted)
        place = bisect_left(ends, period)
        root = self.adopted_root(ends[place]) if place < len(ends) else None
        return root if root and root.covers(period) else None

    def adopted_root(self, through: int) -> PostedRoot | None:
        """The adopted root that ends with the period."""
        return self.roots[self.adopted[through]] if through in self.adopted else None

    @property
    def held(self) -> int:
        """Units that wait in periods, or were allocated and neither credited nor refunded yet."""
        return sum(self.income.values()) + sum(self.roots[place].left for place in self.adopted.values())

    def end_of(self, period: int) -> int:
        """When the period ends."""
        return self.start + (period + 1) * self.period_seconds

    def first_allocable(self, time: int) -> int:
        """The first period that was not adopted and whose time to be allocated is not over."""
        return max(self.next_period, (time - self.start - SILENCE_SECONDS) // self.period_seconds)


class Pools:
    """All pools of a market."""

    def __init__(self, book: Book, splits: Splits) -> None:
        self._book, self._splits = book, splits
        self.by_number: dict[int, PoolState] = {}
        self._digests = {(item.pool_id, item.root, item.digest) for item in book.companions.pool_data}
        rules = {
            EntryKind.SUBSCRIBED: self._subscribe,
            EntryKind.ROOT_POSTED: self._post,
            EntryKind.ROOT_VETOED: self._veto,
            EntryKind.ROOT_ADOPTED: self._adopt,
            EntryKind.POOL_CLAIMED: self._claim,
            EntryKind.PERIOD_REFUNDED: self._refund,
            EntryKind.REST_REFUNDED: self._refund_rest,
        }
        self.handlers = {**dict.fromkeys(rules, self._apply), EntryKind.POOL_CREATED: self._create}
        self._rules = rules

    @property
    def held(self) -> int:
        """Units of all pools that no split was credited yet."""
        return sum(pool.held for pool in self.by_number.values())

    def _apply(self, entry: LedgerEntry) -> None:
        self._book.checked["C10"] += 1
        pool = self.by_number.get(entry.key)
        fault = f"pool {entry.key} does not exist"
        if pool is not None:
            fault = self._rules[EntryKind(entry.kind)](entry, pool)
        if fault:
            self._book.fail("C10", entry, fault)

    def _create(self, entry: LedgerEntry) -> None:
        self._book.checked["C10"] += 1
        period, start = entry.b & 0xFFFFFFFF, self._book.check_time(entry, entry.b >> 32)
        challenger = account_of(entry.c)
        rules = {
            "is created twice or out of turn": entry.key == len(self.by_number) + 1,
            "has no fee": entry.a > 0,
            "has a period that the contract refuses": DAY_SECONDS <= period <= LONGEST_PERIOD,
            "is watched by nobody else": challenger not in (NOBODY, entry.who),
        }
        for fault in [fault for fault, holds in rules.items() if not holds]:
            self._book.fail("C10", entry, f"pool {entry.key} {fault}")
        self.by_number[entry.key] = PoolState(entry.key, entry.who, challenger, entry.a, max(period, 1), start, entry.d)

    def _subscribe(self, entry: LedgerEntry, pool: PoolState) -> str:
        first, entered = entry.b & _NUMBER, entry.b >> 64
        current = (self._book.time_of(entry) - pool.start) // pool.period_seconds
        is_near = current <= first and entered > 0 and first + entered.bit_length() <= current + MAX_AHEAD
        if not is_near or entry.a != pool.fee * entered.bit_count():
            return f"{entry.a} was paid for periods {entered:b} from {first}"
        fault = "sales were paused" if self._book.paused else ""
        for place in range(entered.bit_length()):
            period = first + place
            if not entered >> place & 1:
                continue
            if entry.who in pool.payers[period]:
                fault = f"{entry.who} had paid for period {period}"
            pool.payers[period][entry.who] = account_of(entry.c)
            pool.income[period] += pool.fee
        return fault

    def _post(self, entry: LedgerEntry, pool: PoolState) -> str:
        first, through, until = entry.b & _NUMBER, entry.b >> 64 & _NUMBER, entry.b >> 128
        if not first <= through < first + MAX_RANGE or until >= LAST_TIME:
            return f"a root over periods {first} to {through}"
        time = self._book.time_of(entry)
        was_pending = pool.pending(time) is not None
        if pool.roots and pool.roots[-1].state == PENDING:
            pool.roots[-1].state = LAPSED
        subscribers = {
            period: list(pool.payers[period]) for period in range(first, through + 1) if pool.payers.get(period)
        }
        digest = entry.c.to_bytes(32, "big")
        pool.roots.append(PostedRoot(entry.sequence, entry.d, digest, entry.a, first, through, until, subscribers))
        amount = sum(pool.income.get(period, 0) for period in range(first, through + 1))
        if entry.who != pool.operator or was_pending:
            return "a root was posted by somebody else, or over one that waits"
        if first != pool.first_allocable(time) or pool.end_of(through) > time or entry.a != amount:
            return f"a root gives out {entry.a} of periods {first} to {through}, which brought {amount}"
        if until != time + self._book.terms.veto_window:
            return "a root can be adopted at another time than the veto window says"
        has_data = (pool.number, entry.d, digest) in self._digests
        return "" if has_data else "no published data belongs to the root"

    def _veto(self, entry: LedgerEntry, pool: PoolState) -> str:
        time = self._book.time_of(entry)
        pending = pool.pending(time)
        if pending is not None:
            pending.state = VETOED
        if pending is None or (entry.a, entry.d) != (pending.amount, pending.root):
            return "another root was vetoed than the one that waits"
        is_right = entry.who == pool.challenger and time < pending.adoptable_at
        return "" if is_right else "a root was vetoed too late or by somebody else than the challenger"

    def _adopt(self, entry: LedgerEntry, pool: PoolState) -> str:
        time = self._book.time_of(entry)
        pending = pool.pending(time)
        if pending is None:
            return "no root waits to be adopted"
        pending.state, pending.until = ADOPTED, time + CREDIT_SECONDS
        pending.left, pending.fees = pending.amount, pending.amount // pool.fee if pool.fee else 0
        for period in range(pending.first, pending.through + 1):
            pool.income.pop(period, None)
        pool.adopted[pending.through], pool.next_period = len(pool.roots) - 1, pending.through + 1
        told = (entry.a, entry.b, entry.c, entry.d)
        if told != (pending.amount, pending.until, pending.through, pending.root):
            return "another root was adopted than the one that waits"
        return "" if time >= pending.adoptable_at else "a root was adopted too early"

    def _claim(self, entry: LedgerEntry, pool: PoolState) -> str:
        self._splits.credit(entry, entry.b, entry.a)
        root = pool.adopted_root(entry.c)
        if root is None or root.root != entry.d:
            return f"{entry.a} was claimed for split {entry.b} from a root that was not adopted"
        is_first = entry.b not in root.credits
        root.credits[entry.b], root.left = entry.a, root.left - entry.a
        if not is_first or entry.a < 1:
            return f"split {entry.b} was credited twice or nothing by a root"
        if self._book.time_of(entry) >= root.until:
            return "a split was credited after the time for it"
        return "" if root.left >= 0 else "more was claimed than was allocated"

    def _refund(self, entry: LedgerEntry, pool: PoolState) -> str:
        period, time = entry.b, self._book.time_of(entry)
        payer = pool.payers.get(period, {}).pop(account_of(entry.c), None)
        pool.income[period] -= entry.a
        if (entry.a, entry.who) != (pool.fee, payer) or pool.income[period] < 0:
            return f"{entry.a} of period {period} went back to {entry.who}, who did not pay it"
        pending = pool.pending(time)
        is_posted = pending is not None and pending.covers(period)
        is_over = pool.end_of(period) + SILENCE_SECONDS <= time
        return "" if is_over and not is_posted else f"period {period} was refunded before its time was over"

    def _refund_rest(self, entry: LedgerEntry, pool: PoolState) -> str:
        root = pool.root_over(entry.b)
        payer = pool.payers.get(entry.b, {}).pop(account_of(entry.c), None)
        if root is None or root.root != entry.d or root.fees < 1:
            return f"{entry.a} of period {entry.b} went back, which no adopted root had left"
        part = -(-root.left // root.fees)
        root.left, root.fees = root.left - entry.a, root.fees - 1
        if entry.a != part or part < 1 or entry.who != payer:
            return f"{entry.a} of period {entry.b} went back to {entry.who}, who should have {part}"
        is_over = self._book.time_of(entry) >= root.until
        return "" if is_over else f"the rest of period {entry.b} was refunded while splits could be credited"
