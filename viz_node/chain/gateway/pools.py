"""Pools: one fee for many adapters, divided per period by a posted root."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from viz_node.chain.contract.companions import pool_data_of
from viz_node.chain.contract.ledger import EntryKind, LedgerEntry
from viz_node.chain.encoding.hashing import pool_proof, pool_root, pool_terms, split_root
from viz_node.chain.gateway.reader import NOBODY, MarketReader
from viz_node.chain.node.rpc import to_int
from viz_node.domain.ids import Account, TokenAmount, format_amount
from viz_node.domain.pool import ADOPTED, LAPSED, MAX_AHEAD, PENDING, VETOED, Pool, PoolClaim, PostedRoot, pool_place
from viz_node.domain.royalty import RoyaltySplit
from viz_node.domain.transaction import Call
from viz_node.errors import ChainUnavailableError, NotFoundError

_NUMBER = (1 << 64) - 1
_ENDS = {EntryKind.ROOT_VETOED: VETOED, EntryKind.ROOT_ADOPTED: ADOPTED}


class PoolsGateway(MarketReader):
    """Pools, their subscribers and the calls of operator, challenger and everybody."""

    def pool(self, number: int) -> Pool:
        """One pool. Raises: NotFoundError."""
        found = self._pools(self._entries(EntryKind.POOL_CREATED, number))
        if not found:
            raise NotFoundError(f"the market has no pool {number}", "viz-node pool list")
        return found[0]

    def pools(self) -> list[Pool]:
        """All pools, oldest first."""
        return self._pools(self._entries(EntryKind.POOL_CREATED))

    def pools_of(self, account: str) -> list[Pool]:
        """The pools that the account runs, oldest first."""
        return self._pools(self._entries(EntryKind.POOL_CREATED, who=account))

    def _pools(self, created: Sequence[LedgerEntry]) -> list[Pool]:
        answers = zip(created, self._views([("pools", (entry.key,)) for entry in created]), strict=True)
        rows: list[list[Any]] = [
            [entry.key, *values[:6], values[7], entry.d, self.pool_place(entry.key)] for entry, values in answers
        ]
        found = [Pool(*row) for row in rows]
        return [pool for pool in found if _is_told_alike(pool)]  # else the block of the entry is gone

    def pool_place(self, number: int) -> str:
        """What documents of the pool are signed for."""
        return pool_place(self.deployment.chain_id, self.deployment.market, number)

    def posted_roots(self, number: int) -> list[PostedRoot]:
        """All roots that were ever posted, oldest first. Raises: ChainUnavailableError."""
        head = self._head()
        entries = self._entries((EntryKind.ROOT_POSTED, *_ENDS), number, head=head)
        posted = [entry for entry in entries if entry.kind == EntryKind.ROOT_POSTED]
        data = [pool_data_of(log) for log in self._logs("PoolData", number, head)]
        if [(entry.d, entry.c.to_bytes(32, "big")) for entry in posted] != [(item.root, item.digest) for item in data]:
            raise ChainUnavailableError("the chain's endpoint contradicts itself about posted roots", "use another RPC")
        uris, roots = iter(data), list[PostedRoot]()
        for entry in entries:
            if entry.kind == EntryKind.ROOT_POSTED:
                if roots and roots[-1].state == PENDING:  # another is only posted when nobody adopted it in time
                    roots[-1] = replace(roots[-1], state=LAPSED)
                roots.append(_posted(entry, next(uris).uri))
            elif roots:
                until = entry.b if entry.kind == EntryKind.ROOT_ADOPTED else 0
                roots[-1] = replace(roots[-1], state=_ENDS[EntryKind(entry.kind)], until=until)
        if roots and roots[-1].state == PENDING and to_int(head.get("timestamp")) >= roots[-1].lapses_at:
            roots[-1] = replace(roots[-1], state=LAPSED)
        return roots

    def divided(self) -> dict[int, int]:
        """The fees by pool that adopted roots have divided."""
        sums: dict[int, int] = {}
        for entry in self._entries(EntryKind.ROOT_ADOPTED):
            sums[entry.key] = sums.get(entry.key, 0) + entry.a
        return sums

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

    def find_split(self, split: RoyaltySplit) -> int | None:
        """The oldest split with exactly this table; tables never change, so any of them serves."""
        root = split_root(split.shares)
        return next((entry.key for entry in self._entries(EntryKind.SPLIT_CREATED) if entry.d == root), None)

    def root_of(self, totals: Mapping[int, int]) -> bytes:
        """The root over totals by split, of which there is at least one."""
        return pool_root(totals)

    def pool_income(self, number: int, period: int) -> TokenAmount:
        """Fees that wait in a period."""
        return TokenAmount(self._view("income", number, period)[0])

    def subscription_payer(self, number: int, period: int, holder: str) -> Account | None:
        """Who paid the holder's fee of a period; None = not subscribed."""
        (payer,) = self._view("subscriptions", number, period, holder)
        return None if payer == NOBODY else Account(payer)

    def uncredited(self, claims: Sequence[PoolClaim]) -> list[PoolClaim]:
        """Those of the claims that were not credited yet."""
        views = [("poolCredits", (claim.pool, claim.through, claim.split_id)) for claim in claims]
        return [claim for claim, (units,) in zip(claims, self._views(views), strict=True) if not units]

    def pool_rest(self, number: int, through: int) -> tuple[int, int]:
        """Units that nobody got from the adopted root that ends with a period, and the fees that are to share them."""
        _, left, _, _, fees = self._view("roots", number, through)
        return left, fees

    def prepare_create_pool(self, challenger: str, fee: TokenAmount, period_seconds: int, rules: bytes) -> Call:
        """Open a pool of which the sender is the operator; `rules` is the digest of its rule of division."""
        description = f"open a pool for {format_amount(fee)} per period"
        return self._to_market(description, "createPool", challenger, fee, period_seconds, rules)

    def prepare_subscribe(
        self, number: int, terms: bytes, holder: str, periods: Sequence[int], order_ref: bytes
    ) -> Call:
        """Pay those of the periods that the holder does not have, out of the sender's allowance.

        `terms` is what the pool of this number must have.
        """
        first = min(periods)
        wanted = sum(1 << period - first for period in set(periods))
        values = number, terms, holder, first, wanted, order_ref
        return self._to_market(f"subscribe to pool {number} for {len(periods)} periods", "subscribe", *values)

    def prepare_post_root(
        self, number: int, through: int, totals: Mapping[int, int], data_digest: bytes, uri: str
    ) -> Call:
        """Post the root over these totals, which allocates all open periods up to `through`."""
        values = number, through, pool_root(totals), data_digest, uri
        return self._to_market(f"post the division of pool {number} up to period {through}", "postRoot", *values)

    def prepare_veto(self, number: int) -> Call:
        """Strike out the posted root; only the challenger may."""
        return self._to_market(f"veto the posted root of pool {number}", "veto", number)

    def prepare_adopt_root(self, number: int) -> Call:
        """Adopt the posted root after its veto window."""
        return self._to_market(f"adopt the posted root of pool {number}", "adoptRoot", number)

    def prepare_claim_pool(self, claims: Sequence[PoolClaim]) -> Call:
        """Credit splits what adopted roots give them; those that were credited before are passed over."""
        rows = [
            (claim.pool, claim.through, claim.split_id, claim.units, pool_proof(claim.totals, claim.split_id))
            for claim in claims
        ]
        return self._to_market(f"credit {len(rows)} parts of pools", "claimPool", rows)

    def prepare_refund_period(self, number: int, period: int, holder: str) -> Call:
        """Send the fee of a period that was never allocated back to whoever paid it."""
        description = f"refund period {period} of pool {number} for {holder}"
        return self._to_market(description, "refundPeriod", number, period, holder)

    def prepare_refund_rest(self, number: int, through: int, period: int, holder: str) -> Call:
        """Send a fee's part of what no split claimed from an adopted root back to whoever paid it."""
        description = f"refund the rest of period {period} of pool {number} for {holder}"
        return self._to_market(description, "refundRest", number, through, period, holder)


def _is_told_alike(pool: Pool) -> bool:
    """Whether `terms` is the digest of what is told of the pool."""
    told = pool.operator, pool.challenger, pool.fee, pool.period_seconds, pool.rules
    return pool.operator != NOBODY and pool_terms(*told) == pool.terms


def _posted(entry: LedgerEntry, uri: str) -> PostedRoot:
    first, through, adoptable_at = entry.b & _NUMBER, entry.b >> 64 & _NUMBER, entry.b >> 128
    digest = entry.c.to_bytes(32, "big")
    return PostedRoot(entry.d, digest, uri, TokenAmount(entry.a), first, through, adoptable_at)


def _periods(entry: LedgerEntry) -> Iterator[int]:
    first, paid = entry.b & _NUMBER, entry.b >> 64
    if paid.bit_length() > MAX_AHEAD:
        raise ChainUnavailableError("the chain gave a malformed subscription", "use another RPC")
    yield from (first + place for place in range(paid.bit_length()) if paid >> place & 1)
