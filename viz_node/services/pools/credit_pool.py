"""What pools give to the splits of this account: found, credited, and what that costs.

An adopted root is final, yet its splits are credited for half a year only. So the node credits its own soon, when that
brings ten times the gas, and before the end whatever brings more than the gas. What is due is read from the chain, and
what is on its way from the outbox: a look that was killed is simply repeated.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from hashlib import sha256
from typing import Protocol

from viz_node.domain.decide_pool import MOST_CREDITS, Due, decide_credit, dues_of
from viz_node.domain.ids import Account, format_coin, format_tokens
from viz_node.domain.job import Job, JobStep
from viz_node.domain.manifest import canonical_bytes
from viz_node.domain.orders import ClaimOrder
from viz_node.domain.plan import PlanStep
from viz_node.domain.pool import ADOPTED, Pool, PoolClaim, PostedRoot
from viz_node.domain.pool_records import JOINED, JoinedRecord
from viz_node.domain.purposes import CreditSplits, purpose_as
from viz_node.errors import (
    DeadlineError,
    NotFoundError,
    PeerUnreachableError,
    TransactionRevertedError,
    VerificationError,
)
from viz_node.ports.money import Quotes, Spending
from viz_node.ports.pools import PoolCredits
from viz_node.ports.state import WithOutbox, WithPoolRecords
from viz_node.services.money.settle_royalties import PayersOf
from viz_node.services.part import Report
from viz_node.services.pools.pool_desk import PoolDesk

log = logging.getLogger(__name__)

_CREDIT = "pool credit"


class DuesState(WithPoolRecords, WithOutbox, Protocol):
    """The pools that were joined, and the transactions that are under way."""


class PoolDues:
    """What own splits are not credited yet; sends nothing."""

    def __init__(self, desk: PoolDesk, store: DuesState, market: PoolCredits, account: Account) -> None:
        self._desk = desk
        self._store = store
        self._market = market
        self._account = account
        self._settled: set[tuple[int, int]] = set()

    def on_its_way(self) -> dict[tuple[int, int, int], str]:
        """The orders of claims that may be in a block soon."""
        orders = [entry for entry in self._store.outbox.pending_outbox() if entry.kind == _CREDIT]
        return {name: entry.order_id for entry in orders for name in purpose_as(entry.purpose, CreditSplits).claims}

    async def find(self, is_patient: bool = True) -> list[Due]:
        """What the pools that this node is in, or runs, give its splits; a pool whose data is away comes later.

        Data that is not here is fetched, which may take a while, unless the caller has no patience.
        """
        market, account = self._market, self._account
        records = self._store.pool_records.pool_records_with(JOINED, JoinedRecord)
        joined = {int(key.split("/")[1]) for key in records}
        run = {pool.number for pool in await asyncio.to_thread(market.pools_of, account)}
        shares = {row.split_id: row.share for row in await asyncio.to_thread(market.royalties_of, account)}
        now, found = await self._desk.now(), list[Due]()
        for number in sorted(joined | run):
            pool, roots = await self._desk.pool(number), await asyncio.to_thread(market.posted_roots, number)
            for root in roots:
                if root.state == ADOPTED and now < root.until and (number, root.through) not in self._settled:
                    found += await self._of_root(pool, root, shares, is_patient)
        on_its_way = self.on_its_way()
        return [due for due in found if (due.claim.pool, due.claim.through, due.claim.split_id) not in on_its_way]

    async def _of_root(self, pool: Pool, root: PostedRoot, shares: Mapping[int, int], is_patient: bool) -> list[Due]:
        if not is_patient and not self._desk.data.has(root):
            return []
        try:
            totals = (await self._desk.data.division(pool, root)).totals
        except (VerificationError, NotFoundError, PeerUnreachableError, DeadlineError) as error:
            log.warning("pool %d: %s", pool.number, error.message)
            return []
        own = [PoolClaim(pool.number, root.through, split_id, totals) for split_id in sorted(shares.keys() & totals)]
        left = await asyncio.to_thread(self._market.uncredited, own)
        if not left:  # not looked at again until the next start
            self._settled.add((pool.number, root.through))
        return dues_of(left, shares, root.until)


class Credits:
    """Has own splits credited; fits `PoolMoney` of royalties."""

    def __init__(self, desk: PoolDesk, dues: PoolDues, market: PoolCredits, treasury: Spending) -> None:
        self._desk = desk
        self._dues = dues
        self._market = market
        self._treasury = treasury

    async def owed(self) -> int:
        """Units that own splits do not have yet, of pools whose data is here. Raises: ChainUnavailableError."""
        return sum(due.claim.units for due in await self._dues.find(is_patient=False))

    async def collect(self, job: Job[ClaimOrder], report: Report) -> list[str]:
        """Have own splits credited what adopted roots give them, each once; the transactions' hashes."""
        hashes: list[str | None] = []
        for order_id in dict.fromkeys(self._dues.on_its_way().values()):
            with suppress(TransactionRevertedError):  # somebody else had them credited
                hashes.append(await self._finish(order_id))
        while dues := (await self._dues.find())[:MOST_CREDITS]:
            report(JobStep("credit", len(hashes) + 1, len(hashes) + 1))
            order_id = await self._submit(dues, job.job_id)
            try:
                hashes.append(await self._finish(order_id))
            except TransactionRevertedError:
                if await self._dues.find() == dues:
                    raise
        return [tx_hash for tx_hash in hashes if tx_hash]

    async def watch(self) -> None:
        """Credit own splits, unless that costs more than it brings, or waits for more to come."""
        dues = (await self._dues.find(is_patient=False))[:MOST_CREDITS]
        if not dues:
            return
        call = self._market.prepare_claim_pool([due.claim for due in dues])
        if decide_credit(dues, await self._desk.costs(call), await self._desk.now()):
            await self._submit(dues)

    async def _submit(self, dues: Sequence[Due], job_id: str = "") -> str:
        """Send it, once; the order's id."""
        claims = [due.claim for due in dues]
        names = tuple((claim.pool, claim.through, claim.split_id) for claim in claims)
        order_id = f"pool-credit:{sha256(canonical_bytes(names)).hexdigest()}"
        purpose = CreditSplits(_CREDIT, job_id, claims=names)
        await self._treasury.submit(order_id, lambda: self._market.prepare_claim_pool(claims), purpose)
        return order_id

    async def _finish(self, order_id: str) -> str | None:
        done = await self._treasury.finish(order_id)
        return None if done is None else done.tx_hash


class CreditPlans:
    """What crediting would bring and cost."""

    def __init__(self, dues: PoolDues, market: PoolCredits, quotes: Quotes, payers_of: PayersOf) -> None:
        self._dues = dues
        self._market = market
        self._quotes = quotes
        self._payers_of = payers_of

    async def credits(self) -> list[PlanStep]:
        """What crediting own splits from pools brings and costs. Raises: ChainUnavailableError."""
        rows, dues = [], await self._dues.find()
        payers = await asyncio.to_thread(self._payers_of, {due.claim.split_id for due in dues})
        for due in dues:
            call, claim = self._market.prepare_claim_pool([due.claim]), due.claim
            what = f"credit {payers[claim.split_id]} from pool {claim.pool}, up to period #{claim.through}"
            gas = format_coin(await self._quotes.quote_wei(call))
            consequence = f"{format_tokens(claim.units)} are added to what it pays its recipients"
            rows.append(PlanStep(what, "", gas, consequence))
        return rows
