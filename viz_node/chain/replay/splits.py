"""Replay of splits: their tables, what was paid into them and out of them, and what passes on to other splits."""

from collections import Counter, defaultdict
from dataclasses import dataclass, field

from viz_node.chain.contract.ledger import EntryKind, LedgerEntry
from viz_node.chain.encoding.hashing import split_root
from viz_node.chain.replay.book import SPLIT_ACCOUNTS, Book
from viz_node.domain.ids import WHOLE, Account
from viz_node.domain.royalty import MAX_RECIPIENTS

Shares = tuple[tuple[Account, int], ...]


@dataclass
class SplitState:
    """A split with what was paid into it and out of it."""

    split_id: int
    root: bytes
    shares: dict[Account, int] = field(default_factory=dict)
    accrued: int = 0
    paid: int = 0
    claimed: dict[Account, int] = field(default_factory=lambda: defaultdict(int))

    def due(self, account: Account) -> int:
        """Units that the account may claim now."""
        return self.accrued * self.shares.get(account, 0) // WHOLE - self.claimed.get(account, 0)


class Splits:
    """All splits of a market; `credits` are split, amount and entry of each payment into one.

    `counts` and `units` are how many payments of each kind of entry there were, and what they came to: payments into
    splits from outside, those that passed on to another split, and payouts to accounts.
    """

    def __init__(self, book: Book) -> None:
        self._book = book
        self.by_id: dict[int, SplitState] = {}
        self.claims: list[LedgerEntry] = []
        self.credits: list[tuple[int, int, LedgerEntry]] = []
        self.counts: Counter[int] = Counter()
        self.units: Counter[int] = Counter()
        self._tables = {table.split_id: table for table in book.companions.tables}
        self.handlers = {
            EntryKind.SPLIT_CREATED: self._create,
            EntryKind.CLAIMED: self._claim,
            EntryKind.PASSED_ON: self._claim,
        }

    def credit(self, entry: LedgerEntry, split_id: int, amount: int) -> None:
        """Book a payment to a split."""
        split = self.by_id.get(split_id)
        self._book.checked["C3"] += 1
        if split is None:
            self._book.fail("C3", entry, f"{amount} went to split {split_id}, which does not exist")
        else:
            split.accrued += amount
            self.credits.append((split_id, amount, entry))
            self._tally(entry, amount)

    def _tally(self, entry: LedgerEntry, amount: int) -> None:
        self.counts[entry.kind] += 1
        self.units[entry.kind] += amount

    def _create(self, entry: LedgerEntry) -> None:
        self._book.checked["C4"] += 1
        if entry.key != len(self.by_id) + 1:
            self._book.fail("C4", entry, f"split {entry.key} is created twice or out of turn")
        split = self.by_id[entry.key] = SplitState(entry.key, entry.d)
        table = self._tables.get(entry.key)
        if table is None or not table.shares:
            self._book.fail("C4", entry, f"split {entry.key} has no table")
            return
        split.shares = dict(table.shares)
        for fault in self._faults(entry, table.shares):
            self._book.fail("C4", entry, f"split {entry.key}: {fault}")

    def _faults(self, entry: LedgerEntry, shares: Shares) -> list[str]:
        """The faults of a table."""
        terms = self._book.terms
        accounts = [account for account, _ in shares]
        parents = [int(account, 16) for account in accounts if int(account, 16) < SPLIT_ACCOUNTS]
        parts = [share for _, share in shares]
        rules = {
            "its table does not lead to its root": split_root(shares) == entry.d,
            "its accounts are not ascending": accounts == sorted(set(accounts)),
            "it has another number of recipients": entry.a == len(accounts) <= MAX_RECIPIENTS,
            "its shares do not add up to 10000": sum(parts) == WHOLE and min(parts) >= 1,
            "it names a split that does not exist before it": all(0 < parent < entry.key for parent in parents),
            "the market itself is a recipient": self._book.market not in accounts,
            "the platform's share is below its fee": dict(shares).get(terms.platform, 0) >= terms.platform_fee,
        }
        return [fault for fault, holds in rules.items() if not holds]

    def _claim(self, entry: LedgerEntry) -> None:
        if entry.kind == EntryKind.CLAIMED:
            self.claims.append(entry)
            self._tally(entry, entry.a)
        self._book.checked["C4"] += 1
        split = self.by_id.get(entry.key)
        if split is None:
            self._book.fail("C4", entry, f"split {entry.key} does not exist")
            return
        due, total = split.due(entry.who), split.claimed[entry.who] + entry.a
        if entry.c != split.shares.get(entry.who) or entry.a != due or entry.a < 1 or entry.b != total:
            self._book.fail("C4", entry, f"{entry.who} took {entry.a} from split {entry.key}, and {due} was due")
        split.claimed[entry.who] = total
        split.paid += entry.a
        if split.paid > split.accrued:
            self._book.fail("C3", entry, f"split {entry.key} paid out more than was paid in")
        parent = int(entry.who, 16)
        if (parent < SPLIT_ACCOUNTS) != (entry.kind == EntryKind.PASSED_ON):
            self._book.fail("C4", entry, "money for an account was passed on, or money for a split was paid out")
        if entry.kind == EntryKind.PASSED_ON:
            self.credit(entry, parent, entry.a)
