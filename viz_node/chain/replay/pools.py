"""Replay of catalogue pools: fees per period, posted roots, what was credited from them, and what went back."""

from collections import defaultdict
from dataclasses import dataclass, field

from viz_node.chain.ledger import EntryKind, LedgerEntry
from viz_node.chain.replay.book import LAST_TIME, NOBODY, Book, account_of
from viz_node.chain.replay.splits import Splits
from viz_node.domain.ids import Account
from viz_node.domain.pool import MAX_AHEAD, MAX_RANGE, SILENCE_SECONDS

DAY_SECONDS = 86_400
LONGEST_PERIOD = 366 * DAY_SECONDS
PENDING, VETOED, ADOPTED = "pending", "vetoed", "adopted"
_NUMBER = (1 << 64) - 1


@dataclass
class PostedRoot:
    """A root by the entry that posted it, with the subscribers of its periods then; `digest` is that of its data."""

    sequence: int
    root: bytes
    digest: bytes
    amount: int
    first: int
    through: int
    adoptable_at: int
    subscribers: dict[int, list[Account]]
    state: str = PENDING


@dataclass
class PoolState:
    """A pool; `income` holds the fees that wait in each period."""

    number: int
    operator: Account
    challenger: Account
    fee: int
    period_seconds: int
    start: int
    rules: bytes
    next_period: int = 0
    allocated: int = 0
    credited: int = 0
    root: bytes = bytes(32)
    roots: list[PostedRoot] = field(default_factory=list)
    income: dict[int, int] = field(default_factory=lambda: defaultdict(int))
    payers: dict[int, dict[Account, Account]] = field(default_factory=lambda: defaultdict(dict))
    credits: dict[int, int] = field(default_factory=lambda: defaultdict(int))

    @property
    def pending(self) -> PostedRoot | None:
        """The root whose veto window may run."""
        return self.roots[-1] if self.roots and self.roots[-1].state == PENDING else None

    @property
    def held(self) -> int:
        """Units that wait in periods, or were allocated and not credited yet."""
        return sum(self.income.values()) + self.allocated - self.credited

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
        first, periods = entry.b & _NUMBER, entry.b >> 64
        current = (self._book.time_of(entry) - pool.start) // pool.period_seconds
        is_near = current <= first < current + MAX_AHEAD and 0 < periods <= current + MAX_AHEAD - first
        if not is_near or entry.a != pool.fee * periods:
            return f"{entry.a} was paid for {periods} periods from {first}"
        fault = "sales were paused" if self._book.paused else ""
        for period in range(first, first + periods):
            if entry.who in pool.payers[period]:
                fault = f"{entry.who} had paid for period {period}"
            pool.payers[period][entry.who] = account_of(entry.c)
            pool.income[period] += pool.fee
        return fault

    def _post(self, entry: LedgerEntry, pool: PoolState) -> str:
        first, through, until = entry.b & _NUMBER, entry.b >> 64 & _NUMBER, entry.b >> 128
        if not first <= through < first + MAX_RANGE or until >= LAST_TIME:
            return f"a root over periods {first} to {through}"
        was_pending, time = pool.pending is not None, self._book.time_of(entry)
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
        pending = pool.pending
        if pending is not None:
            pending.state = VETOED
        if pending is None or (entry.a, entry.d) != (pending.amount, pending.root):
            return "another root was vetoed than the one that waits"
        is_right = entry.who == pool.challenger and self._book.time_of(entry) < pending.adoptable_at
        return "" if is_right else "a root was vetoed too late or by somebody else than the challenger"

    def _adopt(self, entry: LedgerEntry, pool: PoolState) -> str:
        pending = pool.pending
        if pending is None:
            return "no root waits to be adopted"
        pending.state = ADOPTED
        for period in range(pending.first, pending.through + 1):
            pool.income.pop(period, None)
        pool.root, pool.next_period = pending.root, pending.through + 1
        pool.allocated += pending.amount
        told = (entry.a, entry.b, entry.c, entry.d)
        if told != (pending.amount, pool.allocated, pending.through, pending.root):
            return "another root was adopted than the one that waits"
        return "" if self._book.time_of(entry) >= pending.adoptable_at else "a root was adopted too early"

    def _claim(self, entry: LedgerEntry, pool: PoolState) -> str:
        added = entry.c - pool.credits[entry.b]
        self._splits.credit(entry, entry.b, entry.a)
        pool.credits[entry.b] = entry.c
        pool.credited += entry.a
        if entry.a != added or added < 1 or entry.d != pool.root:
            return f"{entry.a} was claimed for split {entry.b}, and {added} was due under another root"
        return "" if pool.credited <= pool.allocated else "more was claimed than was allocated"

    def _refund(self, entry: LedgerEntry, pool: PoolState) -> str:
        period, holder = entry.b, account_of(entry.c)
        payer = pool.payers.get(period, {}).pop(holder, None)
        pool.income[period] -= entry.a
        if (entry.a, entry.who) != (pool.fee, payer) or pool.income[period] < 0:
            return f"{entry.a} of period {period} went back to {entry.who}, who did not pay it"
        pending = pool.pending
        is_posted = pending is not None and pending.first <= period <= pending.through
        is_over = pool.end_of(period) + SILENCE_SECONDS <= self._book.time_of(entry)
        return "" if is_over and not is_posted else f"period {period} was refunded before its time was over"
