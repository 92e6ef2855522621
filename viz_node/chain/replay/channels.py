"""Replay of metered channels: deposits, what their vouchers redeemed, and what went back."""

from collections.abc import Callable
from dataclasses import dataclass

from viz_node.chain.contract.items import METERED
from viz_node.chain.contract.ledger import EntryKind, LedgerEntry
from viz_node.chain.replay.book import Book, account_of
from viz_node.chain.replay.catalogue import Catalogue
from viz_node.chain.replay.splits import Splits
from viz_node.domain.ids import Account

LONGEST_LIFETIME = 366 * 86_400
_NUMBER = (1 << 64) - 1


@dataclass
class ChannelState:
    """A channel; `usage_root` is that of the newest redeemed voucher."""

    number: int
    offer_id: int
    split_id: int
    payer: Account
    session_account: Account
    price: int
    deposit: int
    close_at: int
    uses: int = 0
    usage_root: bytes = bytes(32)
    is_closed: bool = False

    @property
    def redeemed(self) -> int:
        """Units credited to the split so far."""
        return self.uses * self.price


class Channels:
    """All channels of a market."""

    def __init__(self, book: Book, catalogue: Catalogue, splits: Splits) -> None:
        self._book, self._catalogue, self._splits = book, catalogue, splits
        self.by_number: dict[int, ChannelState] = {}
        self.handlers = {
            EntryKind.CHANNEL_OPENED: self._open,
            EntryKind.TOPPED_UP: self._known(self._top_up),
            EntryKind.REDEEMED: self._known(self._redeem),
            EntryKind.CLOSE_ASKED: self._known(self._ask_close),
            EntryKind.CHANNEL_CLOSED: self._known(self._close),
        }

    @property
    def locked(self) -> int:
        """Units in open channels that were not redeemed."""
        return sum(item.deposit - item.redeemed for item in self.by_number.values() if not item.is_closed)

    def _known(self, act: Callable[[LedgerEntry, ChannelState], str]) -> Callable[[LedgerEntry], None]:
        """A handler that finds the open channel and notes the fault that `act` returns."""

        def handle(entry: LedgerEntry) -> None:
            self._book.checked["C8"] += 1
            channel = self.by_number.get(entry.key)
            fault = f"no channel {entry.key} is open"
            if channel is not None and not channel.is_closed:
                fault = act(entry, channel)
            if fault:
                self._book.fail("C8", entry, fault)

        return handle

    def _open(self, entry: LedgerEntry) -> None:
        self._book.checked["C8"] += 1
        offer_id, price, split_id = entry.b & _NUMBER, entry.b >> 64 & _NUMBER, entry.b >> 128 & 0xFFFFFFFF
        close_at, session = entry.b >> 160, account_of(entry.c)
        offer = self._catalogue.offers.get(offer_id)
        lifetime = close_at - self._book.time_of(entry)
        rules = {
            "is opened twice or out of turn": entry.key == len(self.by_number) + 1,
            "is not for a metered offer": offer is not None and bool(offer.flags & METERED),
            "has another price or split than its offer": offer is None
            or (offer.floor, offer.split_id) == (price, split_id),
            "has too small a deposit": entry.a >= price > 0,
            "has no session key": 0 < entry.c < 1 << 160,
            "has a life that the contract refuses": self._book.terms.close_window <= lifetime <= LONGEST_LIFETIME,
        }
        for fault in [fault for fault, holds in rules.items() if not holds]:
            self._book.fail("C8", entry, f"channel {entry.key} {fault}")
        if offer is not None:
            self._catalogue.check_open(entry, offer)
        state = ChannelState(entry.key, offer_id, split_id, entry.who, session, price, entry.a, close_at)
        self.by_number[entry.key] = state

    def _top_up(self, entry: LedgerEntry, channel: ChannelState) -> str:
        channel.deposit += entry.a
        return "" if entry.a > 0 and entry.b == channel.deposit else "the deposit does not add up"

    def _redeem(self, entry: LedgerEntry, channel: ChannelState) -> str:
        added = (entry.c - channel.uses) * channel.price
        is_rising = entry.c > channel.uses
        self._splits.credit(entry, entry.b, entry.a)
        channel.uses, channel.usage_root = entry.c, entry.d
        if not is_rising or entry.a != added:
            return f"{entry.a} was redeemed, and the uses are worth {added}"
        if (entry.b, entry.who) != (channel.split_id, channel.session_account):
            return "the voucher went to another split, or is of another session key"
        return "" if channel.redeemed <= channel.deposit else "more was redeemed than was deposited"

    def _ask_close(self, entry: LedgerEntry, channel: ChannelState) -> str:
        expected = self._book.time_of(entry) + self._book.terms.close_window
        is_right = entry.who == channel.payer and entry.a == expected and entry.a < channel.close_at
        channel.close_at = entry.a
        return "" if is_right else "closing was asked by somebody else, too late, or with another deadline"

    def _close(self, entry: LedgerEntry, channel: ChannelState) -> str:
        channel.is_closed = True
        if (entry.a, entry.b) != (channel.deposit - channel.redeemed, channel.redeemed):
            return f"{entry.a} went back, and {channel.deposit - channel.redeemed} were left"
        is_right = entry.who == channel.payer and self._book.time_of(entry) >= channel.close_at
        return "" if is_right else "the channel was closed too early, or paid back to somebody else"
