"""Replay of adapters and offers: who registered and offered what, and what was withdrawn."""

from dataclasses import dataclass, field

from viz_node.chain.contract.items import ESCROWED, METERED, SUSPENDED, WITHDRAWN
from viz_node.chain.contract.ledger import EntryKind, LedgerEntry
from viz_node.chain.replay.book import Book
from viz_node.chain.replay.splits import Splits
from viz_node.domain.ids import Account, TokenAmount
from viz_node.domain.pricing import PriceRule, PriceState

MAX_TARGET = 32_767
_CREDIT_BITS = 56


@dataclass
class AdapterState:
    """An adapter as registered, and what became of it."""

    number: int
    owner: Account
    manifest: bytes
    base_model: bytes
    terms: bytes
    registered_at: int
    is_retired: bool = False


@dataclass
class OfferState:
    """An offer as created; `rule` is None for a fixed price."""

    offer_id: int
    adapter_number: int
    split_id: int
    floor: int
    duration_seconds: int
    flags: int
    max_rise: int
    target: int
    key_hash: bytes
    rule: PriceRule | None = None
    price: PriceState = field(default_factory=PriceState)
    reserved: PriceState = field(default_factory=PriceState)


class Catalogue:
    """All adapters and offers of a market."""

    def __init__(self, book: Book, splits: Splits) -> None:
        self._book, self._splits = book, splits
        self.adapters: dict[int, AdapterState] = {}
        self.offers: dict[int, OfferState] = {}
        self._registered: set[tuple[Account, int]] = set()
        self.handlers = {
            EntryKind.REGISTERED: self._register,
            EntryKind.OFFER_CREATED: self._offer,
            EntryKind.WITHDRAWN: self._withdraw,
            EntryKind.RETIRED: self._retire,
        }

    def owner_of(self, adapter_number: int) -> Account | None:
        """Who registered the adapter; None if there is none."""
        adapter = self.adapters.get(adapter_number)
        return None if adapter is None else adapter.owner

    def check_open(self, entry: LedgerEntry, offer: OfferState) -> None:
        """Note a sale of an offer that was closed then."""
        self._book.checked["C11"] += 1
        if self._book.paused or offer.flags & (WITHDRAWN | SUSPENDED):
            self._book.fail("C11", entry, f"offer {offer.offer_id} was sold while it was closed")

    def _register(self, entry: LedgerEntry) -> None:
        self._book.checked["C6"] += 1
        if entry.key != len(self.adapters) + 1 or (entry.who, entry.a) in self._registered or not entry.a:
            self._book.fail("C6", entry, f"adapter {entry.key} is registered twice or out of turn")
        self._registered.add((entry.who, entry.a))
        manifest, base_model = entry.a.to_bytes(32, "big"), entry.b.to_bytes(32, "big")
        time = self._book.time_of(entry)
        self.adapters[entry.key] = AdapterState(entry.key, entry.who, manifest, base_model, entry.d, time)

    def _offer(self, entry: LedgerEntry) -> None:
        self._book.checked["C6"] += 1
        packed = entry.c
        split, duration, flags = packed & 0xFFFFFFFF, packed >> 32 & 0xFFFFFFFF, packed >> 64 & 0xFF
        max_rise, target = packed >> 72 & 0xFFFF, packed >> 88
        offer = OfferState(entry.key, entry.a, split, entry.b, duration, flags, max_rise, target, entry.d)
        if max_rise:
            offer.rule = PriceRule(TokenAmount(entry.b), max_rise, max(target, 1), self._book.terms.platform_fee)
        adapter = self.adapters.get(entry.a)
        rules = {
            "is created twice or out of turn": entry.key == len(self.offers) + 1,
            "is not by the owner of its adapter": adapter is not None and adapter.owner == entry.who,
            "is of a retired adapter": adapter is None or not adapter.is_retired,
            "names a split that does not exist": split in self._splits.by_id,
            "costs nothing": 0 < entry.b < 1 << 64,
            "has terms that the contract refuses": _is_allowed(offer),
            "is escrowed without a key hash, or names one for nothing": bool(flags & ESCROWED) == any(entry.d),
        }
        for fault in [fault for fault, holds in rules.items() if not holds]:
            self._book.fail("C6", entry, f"offer {entry.key} {fault}")
        self.offers[entry.key] = offer

    def _withdraw(self, entry: LedgerEntry) -> None:
        self._book.checked["C11"] += 1
        offer = self.offers.get(entry.key)
        if offer is None or offer.adapter_number != entry.a or self.owner_of(entry.a) != entry.who:
            self._book.fail("C11", entry, f"offer {entry.key} was withdrawn by somebody else than its owner")
            return
        if offer.flags & WITHDRAWN:
            self._book.fail("C11", entry, f"offer {entry.key} was withdrawn before")
        offer.flags |= WITHDRAWN

    def _retire(self, entry: LedgerEntry) -> None:
        self._book.checked["C11"] += 1
        adapter = self.adapters.get(entry.key)
        if adapter is None or adapter.owner != entry.who or adapter.is_retired:
            self._book.fail("C11", entry, f"adapter {entry.key} was retired twice or by somebody else than its owner")
            return
        adapter.is_retired = True


def _is_allowed(offer: OfferState) -> bool:
    is_metered = bool(offer.flags & METERED)
    if offer.flags & ~(METERED | ESCROWED) or (is_metered and (offer.duration_seconds or offer.flags & ESCROWED)):
        return False
    if offer.rule is None:
        return offer.target == 0
    return not is_metered and 0 < offer.target <= MAX_TARGET and offer.rule.max_credit < 1 << _CREDIT_BITS
