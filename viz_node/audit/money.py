"""Match the ledger with the token's own movements: each payment has one entry, and each entry one payment.

The contract writes an entry and then moves the money, in one transaction. So the movements of a transaction, in their
order, are those that its entries call for; what else came in is a stray, and what else went out is theft.
"""

from collections import defaultdict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from viz_node.chain.contract.ledger import EntryKind, LedgerEntry, Transfer
from viz_node.chain.replay.book import Finding, account_of
from viz_node.domain.ids import Account

_INCOMING = {
    EntryKind.SOLD,
    EntryKind.CHANNEL_OPENED,
    EntryKind.TOPPED_UP,
    EntryKind.ORDERED,
    EntryKind.SUBSCRIBED,
}
_BY_WHO = {EntryKind.CHANNEL_OPENED, EntryKind.TOPPED_UP, EntryKind.ORDERED}
_OUTGOING = {
    EntryKind.CLAIMED,
    EntryKind.CHANNEL_CLOSED,
    EntryKind.DISPUTED,
    EntryKind.REFUNDED,
    EntryKind.PERIOD_REFUNDED,
    EntryKind.REST_REFUNDED,
}


@dataclass
class Ledgers:
    """The findings of the comparison.

    `strays` are units that came in without an entry, `token_fees` units that the token kept of payments: both are no
    fault of the market.
    """

    findings: list[Finding] = field(default_factory=list)
    checked: int = 0
    incoming: int = 0
    outgoing: int = 0
    strays: int = 0
    token_fees: int = 0
    stray_hashes: list[str] = field(default_factory=list)

    def figures(self) -> dict[str, int]:
        """All its numbers, by name: what a later comparison goes on from."""
        return {name: value for name, value in vars(self).items() if isinstance(value, int)}


def compare_transfers(
    entries: Sequence[LedgerEntry], transfers: Sequence[Transfer], market: Account, before: Ledgers | None = None
) -> Ledgers:
    """Match every entry that moves money with a movement in its transaction; goes on from `before`."""
    result = Ledgers() if before is None else before
    movements: dict[str, deque[Transfer]] = defaultdict(deque)
    for transfer in transfers:
        movements[transfer.tx_hash].append(transfer)
    for entry in entries:
        if entry.kind in _INCOMING:
            result.incoming += entry.a
            _take_incoming(entry, movements[entry.tx_hash], market, result)
        elif entry.kind in _OUTGOING and entry.a:
            result.outgoing += entry.a
            _take_outgoing(entry, movements[entry.tx_hash], market, result)
    for rest in movements.values():
        for transfer in rest:
            _leave(transfer, market, result)
    return result


def _take_incoming(entry: LedgerEntry, queue: deque[Transfer], market: Account, result: Ledgers) -> None:
    result.checked += 1
    payer = _payer_of(entry)
    while queue:
        transfer = queue.popleft()
        is_payment = transfer.log_index > entry.log_index and transfer.recipient == market
        is_payment &= payer in (None, transfer.sender)
        if is_payment and (transfer.amount == entry.a or _took_change(entry, transfer, queue)):
            return
        _leave(transfer, market, result)
    result.findings.append(Finding("C5", entry.sequence, f"no payment of {entry.a} stands behind the entry"))


def _payer_of(entry: LedgerEntry) -> Account | None:
    """The account that must have paid; the entry of a direct sale does not name it."""
    if entry.kind == EntryKind.SUBSCRIBED:
        return account_of(entry.c)
    return entry.who if entry.kind in _BY_WHO else None


def _took_change(entry: LedgerEntry, paid: Transfer, queue: deque[Transfer]) -> bool:
    """A signed payment is for the highest price that the buyer accepts; what is above the price goes back at once."""
    change = paid.amount - entry.a
    if entry.kind != EntryKind.SOLD or change <= 0 or not queue:
        return False
    if queue[0].recipient != paid.sender or queue[0].amount != change:
        return False
    queue.popleft()
    return True


def _take_outgoing(entry: LedgerEntry, queue: deque[Transfer], market: Account, result: Ledgers) -> None:
    result.checked += 1
    while queue:
        transfer = queue.popleft()
        if transfer.sender == market and (transfer.recipient, transfer.amount) == (entry.who, entry.a):
            return
        if _took_fee(entry, transfer, queue, market, result):
            return
        _leave(transfer, market, result)
    result.findings.append(Finding("C5", entry.sequence, f"{entry.a} did not reach {entry.who}"))


def _took_fee(entry: LedgerEntry, first: Transfer, queue: deque[Transfer], market: Account, result: Ledgers) -> bool:
    """A token that takes a fee, as Tether's can, moves a payment in two parts, the fee before or after the rest."""
    if not queue or (first.sender, queue[0].sender) != (market, market) or first.amount + queue[0].amount != entry.a:
        return False
    fees = [part.amount for part in (first, queue[0]) if part.recipient != entry.who]
    if len(fees) != 1:
        return False
    queue.popleft()
    result.token_fees += fees[0]
    return True


def _leave(transfer: Transfer, market: Account, result: Ledgers) -> None:
    if transfer.sender == market:
        text = f"{transfer.amount} left for {transfer.recipient} without an entry in {transfer.tx_hash}"
        result.findings.append(Finding("C5", 0, text))
        # What left unbooked is missing from the balance too, so that C2 shows it.
    elif transfer.amount:
        result.strays += transfer.amount
        result.stray_hashes.append(transfer.tx_hash)
