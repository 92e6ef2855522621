"""What the parts of a replay share: the terms of the market, the findings, and what was told beside the entries."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from viz_node.chain.contract.companions import PoolData, SplitTable
from viz_node.chain.contract.ledger import LedgerEntry
from viz_node.domain.ids import Account
from viz_node.domain.order import Delivery, OrderTerms

NOBODY = Account("0x" + "0" * 40)
SPLIT_ACCOUNTS = 1 << 32
LAST_TIME = 1 << 40

CHECKS = {
    "C1": "nothing is missing, altered, added or moved",
    "C2": "money in less money out is the proven balance",
    "C3": "no split pays more than was paid in",
    "C4": "share tables lead to their roots, claims follow them",
    "C5": "each payment has one entry, each entry one payment",
    "C6": "offers are their owners', prices follow their rule",
    "C7": "licenses and times follow from the sales",
    "C8": "channels: uses times price, rising, within the deposit",
    "C9": "orders end once, in time, with the evidence for it",
    "C10": "pools: roots follow from their data, claims from roots",
    "C11": "acts of owners and steward are theirs to do",
    "C12": "no money came in beside the ledger",
    "C13": "the contract's own state is what the ledger leads to",
}


class Finding(NamedTuple):
    """One thing that is not as it must be; `sequence` is the ledger entry, 0 when it is none in particular."""

    check: str
    sequence: int
    message: str


@dataclass(frozen=True)
class MarketTerms:
    """What was fixed when the market was deployed: units, basis points and seconds."""

    platform: Account = NOBODY
    platform_fee: int = 0
    close_window: int = 0
    delivery_window: int = 0
    dispute_window: int = 0
    veto_window: int = 0


@dataclass(frozen=True)
class Companions:
    """The events beside the entries, by the number that they name."""

    tables: tuple[SplitTable, ...] = ()
    orders: Mapping[int, OrderTerms] = field(default_factory=dict)
    deliveries: Mapping[int, Delivery] = field(default_factory=dict)
    pool_data: tuple[PoolData, ...] = ()


@dataclass
class Book:
    """Findings and counts of one replay, and the facts that all its parts read."""

    market: Account
    terms: MarketTerms
    companions: Companions
    times: Mapping[int, int]
    findings: list[Finding] = field(default_factory=list)
    checked: Counter[str] = field(default_factory=Counter)
    is_marked_paused: bool = False
    paused_until: int = 0
    now: int = 0

    @property
    def paused(self) -> bool:
        """Whether sales were paused at `now`: a pause is over after its time, also without an entry."""
        return self.is_marked_paused and self.now < self.paused_until

    def fail(self, check: str, entry: LedgerEntry, message: str) -> None:
        """Note that the entry does not follow the rules."""
        self.findings.append(Finding(check, entry.sequence, message))

    def time_of(self, entry: LedgerEntry) -> int:
        """The time of the entry's block, seconds since 1970; never before that of an earlier entry."""
        self.now = max(self.now, self.times.get(entry.block_number, 0))
        return self.now

    def check_time(self, entry: LedgerEntry, told: int) -> int:
        """The time that an entry states, after comparing it with that of its block."""
        self.checked["C7"] += 1
        time = self.time_of(entry)
        if told != time:
            self.fail("C7", entry, f"the entry says it was written at {told}, and its block is of {time}")
        if time < told < LAST_TIME:
            self.now = told
        return self.now


def account_of(number: int) -> Account:
    """The account in a field of an entry; one that does not fit stays visible as it is."""
    return Account(f"0x{number:040x}")
