"""Replay a market's ledger from its entries alone and say what does not follow from the rules; no I/O.

The rules are those of the contract: an entry that it could not have written is a finding, whoever invented it.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from viz_node.chain.hashing import split_root
from viz_node.chain.ledger import INITIAL_HEAD, PERPETUAL, EntryKind, LedgerEntry, SplitTable, Transfer, next_head
from viz_node.domain.ids import WHOLE, Account


@dataclass(frozen=True)
class Finding:
    """One thing that is not as it must be; `sequence` is the ledger entry, 0 when it is none in particular."""

    check: str
    sequence: int
    message: str


@dataclass(frozen=True)
class AdapterState:
    """An adapter as registered."""

    number: int
    owner: Account
    manifest: bytes


@dataclass(frozen=True)
class OfferState:
    """An offer as created."""

    offer_id: int
    adapter_number: int
    split_id: int
    price: int
    duration_seconds: int


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
        """What the account may claim now."""
        return self.accrued * self.shares.get(account, 0) // WHOLE - self.claimed.get(account, 0)


class LedgerReplay:
    """The state of a market after its entries, and the findings on the way.

    `block_times` (seconds by block number) is needed for the expiry rule of timed licenses.
    """

    def __init__(self, tables: Sequence[SplitTable], block_times: Mapping[int, int]) -> None:
        self.findings: list[Finding] = []
        self.head = INITIAL_HEAD
        self.adapters: dict[int, AdapterState] = {}
        self.offers: dict[int, OfferState] = {}
        self.splits: dict[int, SplitState] = {}
        self.licenses: dict[tuple[int, Account], int] = {}
        self.sales: list[LedgerEntry] = []
        self.claims: list[LedgerEntry] = []
        self._tables = {table.split_id: table for table in tables}
        self._block_times = block_times
        self._registered: set[tuple[Account, int]] = set()
        self._last_place = (-1, -1)
        if len(self._tables) != len(tables):
            self._find("split table", 0, "a split has more than one table")

    def apply(self, entry: LedgerEntry) -> None:
        """Check the entry against the rules and take it over."""
        expected = (self.head & (1 << 40) - 1) + 1
        if entry.sequence != expected:
            self._find("sequence", entry.sequence, f"entry {expected} must stand here, and it is {entry.sequence}")
        place = entry.block_number, entry.log_index
        if place <= self._last_place:
            self._find("sequence", entry.sequence, "the entry stands before its predecessor on the chain")
        self._last_place = place
        self.head = next_head(self.head, entry)
        match entry.kind:
            case EntryKind.REGISTERED:
                self._register(entry)
            case EntryKind.SPLIT_CREATED:
                self._create_split(entry)
            case EntryKind.OFFER_CREATED:
                self._create_offer(entry)
            case EntryKind.SOLD:
                self._sell(entry)
            case EntryKind.CLAIMED:
                self._claim(entry)
            case _:
                self._find("kind", entry.sequence, f"kind {entry.kind} does not exist")

    def _register(self, entry: LedgerEntry) -> None:
        if entry.key != len(self.adapters) + 1 or (entry.who, entry.a) in self._registered or not entry.a:
            self._find("registration", entry.sequence, f"adapter {entry.key} is registered twice or out of turn")
        self._registered.add((entry.who, entry.a))
        self.adapters[entry.key] = AdapterState(entry.key, entry.who, entry.a.to_bytes(32, "big"))

    def _create_split(self, entry: LedgerEntry) -> None:
        if entry.key != len(self.splits) + 1:
            self._find("split table", entry.sequence, f"split {entry.key} is created twice or out of turn")
        split = self.splits[entry.key] = SplitState(entry.key, entry.d)
        table = self._tables.get(entry.key)
        if table is None or not table.shares:
            self._find("split table", entry.sequence, f"split {entry.key} has no table")
            return
        accounts = [account for account, _ in table.shares]
        split.shares = dict(table.shares)
        if accounts != sorted(set(accounts)) or entry.a != len(accounts):
            self._find("split table", entry.sequence, f"the accounts of split {entry.key} are not ascending")
        if sum(split.shares.values()) != WHOLE or min(split.shares.values()) < 1:
            self._find("split table", entry.sequence, f"the shares of split {entry.key} do not add up to 10000")
        if split_root(table.shares) != entry.d:
            self._find("split table", entry.sequence, f"the table of split {entry.key} does not lead to its root")

    def _create_offer(self, entry: LedgerEntry) -> None:
        split_id, duration = entry.c & 0xFFFFFFFF, entry.c >> 32
        adapter = self.adapters.get(entry.a)
        if entry.key != len(self.offers) + 1 or entry.b < 1:
            self._find("offer", entry.sequence, f"offer {entry.key} is created twice, out of turn or for nothing")
        if adapter is None or adapter.owner != entry.who:
            self._find("offer", entry.sequence, f"offer {entry.key} is not by the owner of adapter {entry.a}")
        if split_id not in self.splits:
            self._find("offer", entry.sequence, f"offer {entry.key} names split {split_id}, which does not exist")
        self.offers[entry.key] = OfferState(entry.key, entry.a, split_id, entry.b, duration)

    def _sell(self, entry: LedgerEntry) -> None:
        self.sales.append(entry)
        offer, split = self.offers.get(entry.key), self.splits.get(entry.b)
        if offer is None or split is None:
            self._find("sale", entry.sequence, f"offer {entry.key} or split {entry.b} does not exist")
            return
        if entry.a != offer.price:
            self._find("price", entry.sequence, f"{entry.a} was paid, and offer {entry.key} costs {offer.price}")
        if entry.b != offer.split_id:
            self._find("sale", entry.sequence, f"the money went to split {entry.b}, not {offer.split_id}")
        split.accrued += entry.a
        held = self.licenses.get((entry.key, entry.who), 0)
        if offer.duration_seconds == 0:
            expected = PERPETUAL
            if held:
                self._find("sale", entry.sequence, f"{entry.who} had the perpetual license already")
        else:
            expected = max(held, self._block_times.get(entry.block_number, 0)) + offer.duration_seconds
        if entry.c != expected:
            self._find("expiry", entry.sequence, f"the license ends at {entry.c}, and the rule says {expected}")
        self.licenses[entry.key, entry.who] = entry.c

    def _claim(self, entry: LedgerEntry) -> None:
        self.claims.append(entry)
        split = self.splits.get(entry.key)
        if split is None:
            self._find("claim", entry.sequence, f"split {entry.key} does not exist")
            return
        due, total = split.due(entry.who), split.claimed[entry.who] + entry.a
        if entry.c != split.shares.get(entry.who) or entry.a != due or entry.a < 1 or entry.b != total:
            self._find("claim", entry.sequence, f"{entry.who} took {entry.a} from split {entry.key}, and {due} was due")
        split.claimed[entry.who] = total
        split.paid += entry.a
        if split.paid > split.accrued:
            self._find("solvency", entry.sequence, f"split {entry.key} paid out more than was paid in")

    def _find(self, check: str, sequence: int, message: str) -> None:
        self.findings.append(Finding(check, sequence, message))


def compare_transfers(
    replay: LedgerReplay, transfers: Sequence[Transfer], market: Account
) -> tuple[list[Finding], int]:
    """Match every sale and claim with a token movement in its transaction.

    Returns the findings and the units that strangers sent to the market without buying: those are nobody's fault.
    """
    findings: list[Finding] = []
    incoming: dict[tuple[str, int], int] = defaultdict(int)
    outgoing: dict[tuple[str, Account, int], int] = defaultdict(int)
    for transfer in transfers:
        if transfer.recipient == market:
            incoming[transfer.tx_hash, transfer.amount] += 1
        else:
            outgoing[transfer.tx_hash, transfer.recipient, transfer.amount] += 1
    for sale in replay.sales:
        incoming[sale.tx_hash, sale.a] -= 1
        if incoming[sale.tx_hash, sale.a] < 0:
            findings.append(Finding("transfer", sale.sequence, f"no payment of {sale.a} stands beside the sale"))
    for claim in replay.claims:
        outgoing[claim.tx_hash, claim.who, claim.a] -= 1
        if outgoing[claim.tx_hash, claim.who, claim.a] < 0:
            findings.append(Finding("transfer", claim.sequence, f"{claim.a} did not reach {claim.who}"))
    for (tx_hash, recipient, amount), count in outgoing.items():
        if count > 0:
            findings.append(Finding("transfer", 0, f"{amount} left for {recipient} without a claim in {tx_hash}"))
    strays = sum(amount * count for (_, amount), count in incoming.items() if count > 0)
    return findings, strays
