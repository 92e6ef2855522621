"""Pools: one fee for many adapters, divided per period by a posted root."""

from collections.abc import Mapping
from dataclasses import dataclass

from viz_node.chain.companions import PoolData, pool_data_of
from viz_node.chain.gateway.reader import NOBODY, MarketReader
from viz_node.chain.hashing import pool_proof
from viz_node.chain.transactions import Call
from viz_node.domain.ids import Account, TokenAmount, format_amount
from viz_node.errors import NotFoundError


@dataclass(frozen=True)
class Pool:
    """A pool; `start` is when period 0 began, `next_period` the one after the last that an adopted root covers."""

    number: int
    operator: Account
    fee: TokenAmount
    period_seconds: int
    challenger: Account
    start: int
    next_period: int
    allocated: TokenAmount
    credited: TokenAmount
    root: bytes

    def period_at(self, time: int) -> int:
        """The number of the period that runs at `time`."""
        return (time - self.start) // self.period_seconds


@dataclass(frozen=True)
class PendingRoot:
    """A posted root that awaits its veto window: fees of periods `first` to `through`."""

    root: bytes
    amount: TokenAmount
    first: int
    through: int
    adoptable_at: int


class PoolsGateway(MarketReader):
    """Pools, their subscribers and the calls of operator, challenger and everybody."""

    def pool(self, number: int) -> Pool:
        """One pool. Raises: NotFoundError."""
        values = self._view("pools", number)
        if values[0] == NOBODY:
            raise NotFoundError(f"the market has no pool {number}")
        return Pool(number, *values)

    def pending_root(self, number: int) -> PendingRoot | None:
        """The posted root that awaits its veto window."""
        values = self._view("pendingRoots", number)
        return PendingRoot(*values) if any(values[0]) else None

    def pool_income(self, number: int, period: int) -> TokenAmount:
        """Fees that wait in a period."""
        return TokenAmount(self._view("income", number, period)[0])

    def subscription_payer(self, number: int, period: int, holder: str) -> Account | None:
        """Who paid the holder's fee of a period; None = not subscribed."""
        (payer,) = self._view("subscriptions", number, period, holder)
        return None if payer == NOBODY else Account(payer)

    def pool_credit(self, number: int, split_id: int) -> TokenAmount:
        """Units credited from the pool to a split so far."""
        return TokenAmount(self._view("poolCredits", number, split_id)[0])

    def pool_data(self, number: int) -> list[PoolData]:
        """Where the data behind each posted root is, oldest first."""
        return [pool_data_of(log) for log in self._logs("PoolData", number)]

    def prepare_create_pool(self, challenger: str, fee: TokenAmount, period_seconds: int, rules: bytes) -> Call:
        """Open a pool of which the sender is the operator; `rules` is the digest of its rule of division."""
        description = f"open a pool for {format_amount(fee)} per period"
        return self._to_market(description, "createPool", challenger, fee, period_seconds, rules)

    def prepare_subscribe(self, number: int, holder: str, first: int, count: int, order_ref: bytes) -> Call:
        """Pay `count` periods for the holder, out of the sender's allowance."""
        values = number, holder, first, count, order_ref
        return self._to_market(f"subscribe to pool {number} for {count} periods", "subscribe", *values)

    def prepare_post_root(self, number: int, through: int, root: bytes, data_digest: bytes, uri: str) -> Call:
        """Post the root that allocates all open periods up to `through`."""
        values = number, through, root, data_digest, uri
        return self._to_market(f"post the division of pool {number} up to period {through}", "postRoot", *values)

    def prepare_veto(self, number: int) -> Call:
        """Strike out the posted root; only the challenger may."""
        return self._to_market(f"veto the posted root of pool {number}", "veto", number)

    def prepare_adopt_root(self, number: int) -> Call:
        """Adopt the posted root after its veto window."""
        return self._to_market(f"adopt the posted root of pool {number}", "adoptRoot", number)

    def prepare_claim_pool(self, number: int, split_id: int, totals: Mapping[int, int]) -> Call:
        """Credit a split what the adopted root gives it; `totals` are the units by split behind that root."""
        if split_id not in totals:
            raise NotFoundError(f"pool {number} gives nothing to split {split_id}")
        values = number, split_id, totals[split_id], pool_proof(totals, split_id)
        return self._to_market(f"credit split {split_id} from pool {number}", "claimPool", *values)

    def prepare_refund_period(self, number: int, period: int, holder: str) -> Call:
        """Send the fee of a period that was never allocated back to whoever paid it."""
        description = f"refund period {period} of pool {number} for {holder}"
        return self._to_market(description, "refundPeriod", number, period, holder)
