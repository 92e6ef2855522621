"""Subscriptions to pools: periods that were paid for, and fees that go back."""

from collections.abc import Iterator, Sequence

from viz_node.chain.contract.ledger import EntryKind, LedgerEntry
from viz_node.chain.gateway.reader import NOBODY, MarketReader
from viz_node.domain.counting import counted
from viz_node.domain.ids import Account
from viz_node.domain.pool import MAX_AHEAD
from viz_node.domain.transaction import Call
from viz_node.errors import ChainUnavailableError

_NUMBER = (1 << 64) - 1


class SubscriptionsGateway(MarketReader):
    """Who has paid for which periods, and how a fee is paid and comes back."""

    def subscribers_of(self, number: int, first: int, through: int) -> dict[int, list[Account]]:
        """Who has paid for each of these periods, without those who have it back; periods with nobody are left out."""
        entries = self._entries((EntryKind.SUBSCRIBED, EntryKind.PERIOD_REFUNDED), number)
        refunded = {(entry.b, entry.c) for entry in entries if entry.kind == EntryKind.PERIOD_REFUNDED}
        holders: dict[int, list[Account]] = {}
        for entry in entries:
            for period in _periods(entry) if entry.kind == EntryKind.SUBSCRIBED else ():
                if first <= period <= through and (period, int(entry.who, 16)) not in refunded:
                    holders.setdefault(period, []).append(entry.who)
        return dict(sorted(holders.items()))

    def subscribed_in(self, number: int, period: int, holder: str) -> int | None:
        """The block in which the period was paid for the holder; None if it was not."""
        paid = self._entries(EntryKind.SUBSCRIBED, number, holder)
        return next((entry.block_number for entry in paid if period in _periods(entry)), None)

    def subscriptions_of(self, holder: str, payer: str | None = None) -> dict[int, list[int]]:
        """The periods by pool that were paid for the holder, ascending; some may have been refunded.

        Anybody may pay for anybody: `payer` leaves out what others gave.
        """
        periods: dict[int, list[int]] = {}
        for entry in self._entries(EntryKind.SUBSCRIBED, who=holder):
            if payer is None or entry.c == int(payer, 16):
                periods.setdefault(entry.key, []).extend(_periods(entry))
        return {pool: sorted(numbers) for pool, numbers in sorted(periods.items())}

    def subscription_payer(self, number: int, period: int, holder: str) -> Account | None:
        """Who paid the holder's fee of a period; None = not subscribed."""
        (payer,) = self._view("subscriptions", number, period, holder)
        return None if payer == NOBODY else Account(payer)

    def prepare_subscribe(
        self, number: int, terms: bytes, holder: str, periods: Sequence[int], order_ref: bytes
    ) -> Call:
        """Pay those of the periods that the holder does not have, out of the sender's allowance.

        `terms` is what the pool of this number must have.
        """
        first = min(periods)
        wanted = sum(1 << period - first for period in set(periods))
        values = number, terms, holder, first, wanted, order_ref
        return self._to_market(
            f"subscribe to pool {number} for {counted(len(periods), 'period')}", "subscribe", *values
        )

    def prepare_refund_period(self, number: int, period: int, holder: str) -> Call:
        """Send the fee of a period that was never allocated back to its payer."""
        description = f"refund period {period} of pool {number} for {holder}"
        return self._to_market(description, "refundPeriod", number, period, holder)

    def prepare_refund_rest(self, number: int, through: int, period: int, holder: str) -> Call:
        """Send a fee's part of what no split claimed from an adopted root back to its payer."""
        description = f"refund the rest of period {period} of pool {number} for {holder}"
        return self._to_market(description, "refundRest", number, through, period, holder)


def _periods(entry: LedgerEntry) -> Iterator[int]:
    first, paid = entry.b & _NUMBER, entry.b >> 64
    if paid.bit_length() > MAX_AHEAD:
        raise ChainUnavailableError("the chain gave a malformed subscription", "use another RPC")
    yield from (first + place for place in range(paid.bit_length()) if paid >> place & 1)
