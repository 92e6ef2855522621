"""Replay of notices and of what the steward did: pauses, suspensions, and who the steward is."""

from viz_node.chain.contract.items import SUSPENDED
from viz_node.chain.contract.ledger import EntryKind, LedgerEntry
from viz_node.chain.replay.book import NOBODY, Book
from viz_node.chain.replay.catalogue import Catalogue
from viz_node.domain.ids import Account

LONGEST_PAUSE_SECONDS = 30 * 86_400


class Stewardship:
    """Notices by number. The first steward is in no entry: `steward` is None until one acts."""

    def __init__(self, book: Book, catalogue: Catalogue) -> None:
        self._book, self._catalogue = book, catalogue
        self.notices: dict[int, int] = {}
        self.steward: Account | None = None
        self.named = NOBODY
        rules = {
            EntryKind.NOTICE: self._notice,
            EntryKind.COUNTER_NOTICE: self._counter_notice,
            EntryKind.PAUSED: self._pause,
            EntryKind.UNPAUSED: self._pause,
            EntryKind.SUSPENDED: self._suspend,
            EntryKind.REOPENED: self._suspend,
            EntryKind.STEWARD_NAMED: self._name,
            EntryKind.STEWARD_CHANGED: self._change,
        }
        self.handlers = dict.fromkeys(rules, self._apply)
        self._rules = rules

    def _apply(self, entry: LedgerEntry) -> None:
        self._book.checked["C11"] += 1
        fault = self._rules[EntryKind(entry.kind)](entry)
        if fault:
            self._book.fail("C11", entry, fault)

    def _by_steward(self, entry: LedgerEntry) -> str:
        if self.steward is None and entry.who != NOBODY:
            self.steward = entry.who
        return "" if entry.who == self.steward else f"{entry.who} is not the steward"

    def _notice(self, entry: LedgerEntry) -> str:
        self.notices[entry.sequence] = entry.key
        return "" if entry.key in self._catalogue.adapters else f"adapter {entry.key} does not exist"

    def _counter_notice(self, entry: LedgerEntry) -> str:
        if self.notices.get(entry.a) != entry.key:
            return f"there is no notice {entry.a} about adapter {entry.key}"
        is_owner = self._catalogue.owner_of(entry.key) == entry.who
        return "" if is_owner else f"{entry.who} does not own adapter {entry.key}"

    def _pause(self, entry: LedgerEntry) -> str:
        """A pause lasts 30 days at most, the next one waits 30 days; anyone may mark the end of one that is over."""
        book, time = self._book, self._book.time_of(entry)
        is_running = time < book.paused_until
        if entry.kind == EntryKind.PAUSED:
            is_allowed = time >= book.paused_until + LONGEST_PAUSE_SECONDS and entry.a == time + LONGEST_PAUSE_SECONDS
            fault = "" if is_allowed else "sales were paused too soon, or for another time than the market allows"
            book.is_marked_paused, book.paused_until = True, entry.a
            return self._by_steward(entry) or fault
        fault = "" if book.is_marked_paused else "sales were open already"
        book.is_marked_paused, book.paused_until = False, min(book.paused_until, time)
        return (self._by_steward(entry) if is_running else "") or fault

    def _suspend(self, entry: LedgerEntry) -> str:
        offer = self._catalogue.offers.get(entry.key)
        if offer is None or self.notices.get(entry.a) != offer.adapter_number:
            return f"there is no notice {entry.a} about offer {entry.key}"
        is_suspension = entry.kind == EntryKind.SUSPENDED
        fault = "the offer was in that state already" if bool(offer.flags & SUSPENDED) == is_suspension else ""
        offer.flags = offer.flags | SUSPENDED if is_suspension else offer.flags & ~SUSPENDED
        return self._by_steward(entry) or fault

    def _name(self, entry: LedgerEntry) -> str:
        self.named = entry.who
        return ""

    def _change(self, entry: LedgerEntry) -> str:
        is_resignation = entry.who == NOBODY
        fault = "" if is_resignation or entry.who == self.named else f"{entry.who} was not named as steward"
        self._book.time_of(entry)
        if is_resignation and self._book.paused:
            fault = "the steward resigned while sales were paused"
        self.steward, self.named = entry.who, NOBODY
        return fault
