"""Replay a market's ledger from its entries alone and say what does not follow from the rules; no I/O.

The rules are those of the contract: an entry that it could not have written is a finding.
"""

from collections.abc import Callable, Iterable, Mapping

from viz_node.chain.contract.ledger import INITIAL_HEAD, SEQUENCE_MASK, LedgerEntry, next_head
from viz_node.chain.replay.book import CHECKS, Book, Companions, Finding, MarketTerms
from viz_node.chain.replay.catalogue import Catalogue
from viz_node.chain.replay.channels import Channels
from viz_node.chain.replay.divisions import Published, check_divisions
from viz_node.chain.replay.escrow import Escrow
from viz_node.chain.replay.licenses import Licenses
from viz_node.chain.replay.pools import Pools
from viz_node.chain.replay.splits import Splits
from viz_node.chain.replay.stewardship import Stewardship
from viz_node.domain.ids import Account

__all__ = ["CHECKS", "Companions", "Finding", "LedgerReplay", "MarketTerms"]

_Handler = Callable[[LedgerEntry], None]


class LedgerReplay:
    """The state of a market after its entries, and the findings on the way.

    `times` gives the seconds since 1970 of each block that has entries.
    """

    def __init__(self, market: Account, terms: MarketTerms, companions: Companions, times: Mapping[int, int]) -> None:
        self.head = INITIAL_HEAD
        self.book = Book(market, terms, companions, times)
        self.splits = Splits(self.book)
        self.catalogue = Catalogue(self.book, self.splits)
        self.licenses = Licenses(self.book, self.catalogue, self.splits)
        self.stewardship = Stewardship(self.book, self.catalogue)
        self.channels = Channels(self.book, self.catalogue, self.splits)
        self.escrow = Escrow(self.book, self.catalogue, self.splits, self.licenses)
        self.pools = Pools(self.book, self.splits)
        parts = self.splits, self.catalogue, self.licenses, self.stewardship, self.channels, self.escrow, self.pools
        self._handlers: dict[int, _Handler] = {
            int(kind): handler for part in parts for kind, handler in part.handlers.items()
        }
        self._last_place = (-1, -1)

    @property
    def findings(self) -> list[Finding]:
        """What does not follow from the rules so far."""
        return self.book.findings

    @property
    def owed(self) -> int:
        """All that the market owes: to recipients, to payers of channels and orders, and out of pools."""
        unpaid = sum(split.accrued - split.paid for split in self.splits.by_id.values())
        return unpaid + self.channels.locked + self.escrow.locked + self.pools.held

    def run(self, entries: Iterable[LedgerEntry]) -> None:
        """Apply all entries."""
        for entry in entries:
            self.apply(entry)

    def check_divisions(self, chain_id: int, published: Published) -> tuple[int, int]:
        """Derive roots of pools from published data; how many were, and how many could not be for want of it."""
        return check_divisions(self.book, self.pools, self.catalogue, chain_id, published)

    def apply(self, entry: LedgerEntry) -> None:
        """Check the entry against the rules and take it over."""
        expected = (self.head & SEQUENCE_MASK) + 1
        if entry.sequence != expected:
            self.book.fail("C1", entry, f"entry {expected} must stand here, and it is {entry.sequence}")
        place = entry.block_number, entry.log_index
        if place <= self._last_place:
            self.book.fail("C1", entry, "the entry stands before its predecessor on the chain")
        self._last_place = place
        self.book.checked["C1"] += 1
        self.head = next_head(self.head, entry)
        handler = self._handlers.get(entry.kind)
        if handler is None:
            self.book.fail("C1", entry, f"kind {entry.kind} does not exist")
        else:
            handler(entry)
