"""Replay of licenses: every sale at the price of its rule, every expiry, who holds what."""

from viz_node.chain.contract.items import ESCROWED, METERED
from viz_node.chain.contract.ledger import PERPETUAL, EntryKind, LedgerEntry
from viz_node.chain.replay.book import Book
from viz_node.chain.replay.catalogue import Catalogue, OfferState
from viz_node.chain.replay.splits import Splits
from viz_node.domain.ids import Account
from viz_node.domain.pricing import count, take

TIME_SHIFT = 32
SPLIT_MASK = (1 << TIME_SHIFT) - 1


class Licenses:
    """Who holds a license of which offer, until when."""

    def __init__(self, book: Book, catalogue: Catalogue, splits: Splits) -> None:
        self._book, self._catalogue, self._splits = book, catalogue, splits
        self.expiry: dict[tuple[int, Account], int] = {}
        self.handlers = {EntryKind.SOLD: self._sell}

    def check_price(self, entry: LedgerEntry, offer: OfferState, time: int) -> None:
        """Compare what was paid with the rule, and let a moving price take its premium."""
        self._book.checked["C6"] += 1
        expected = offer.floor
        if offer.rule is not None:
            expected, offer.price = take(offer.rule, offer.price, time)
        if entry.a != expected:
            self._book.fail("C6", entry, f"{entry.a} was paid, and offer {offer.offer_id} cost {expected}")

    def count_licensee(self, offer: OfferState, time: int) -> None:
        """Let a first-time licensee whose payment is final move a moving price."""
        if offer.rule is not None:
            offer.price = count(offer.rule, offer.price, time, offer.reserved.credit)

    def take_back(self, offer: OfferState, holder: Account, since: int, time: int) -> int:
        """Take back what is left of a license that was delivered at `since`, and nothing that was paid since."""
        held, granted = self.expiry.get((offer.offer_id, holder), 0), since + offer.duration_seconds
        left = held - max(granted - time, 0)
        expiry = 0 if offer.duration_seconds == 0 or held == granted else left
        self.expiry[offer.offer_id, holder] = expiry
        return expiry

    def grant(self, entry: LedgerEntry, offer: OfferState, told: tuple[Account, int], time: int) -> None:
        """Give or extend a license; `told` is the holder and the expiry that the entry states."""
        holder, expiry = told
        self._book.checked["C7"] += 1
        held = self.expiry.get((offer.offer_id, holder), 0)
        if offer.duration_seconds == 0:
            expected = PERPETUAL
            if held:
                self._book.fail("C7", entry, f"{holder} had the perpetual license already")
        else:
            expected = max(held, time) + offer.duration_seconds
        if expiry != expected:
            self._book.fail("C7", entry, f"the license ends at {expiry}, and the rule says {expected}")
        self.expiry[offer.offer_id, holder] = expiry

    def _sell(self, entry: LedgerEntry) -> None:
        split_id = entry.b & SPLIT_MASK
        self._splits.credit(entry, split_id, entry.a)
        offer = self._catalogue.offers.get(entry.key)
        if offer is None:
            self._book.fail("C6", entry, f"offer {entry.key} does not exist")
            return
        time = self._book.check_time(entry, entry.b >> TIME_SHIFT)
        self._catalogue.check_open(entry, offer)
        is_first = not self.expiry.get((entry.key, entry.who))
        if offer.flags & METERED or (offer.flags & ESCROWED and is_first):
            self._book.fail("C6", entry, f"offer {entry.key} is not sold directly")
        if split_id != offer.split_id:
            self._book.fail("C3", entry, f"the money went to split {split_id}, not {offer.split_id}")
        self.check_price(entry, offer, time)
        if is_first:
            self.count_licensee(offer, time)
        self.grant(entry, offer, (entry.who, entry.c), time)
