"""Use the adapters of pools: what a subscription covers, and how often which adapter was used.

Uses are counted from the finished jobs of this node, so nothing is counted twice and a crash loses none.
"""

import asyncio
from collections import Counter
from dataclasses import replace
from typing import Protocol

from viz_node.domain.ids import Account, AdapterId, is_hex_digest
from viz_node.domain.job import Job, JobState
from viz_node.domain.orders import GenerateOrder
from viz_node.domain.pool import Pool
from viz_node.errors import VizNodeError
from viz_node.ports.pools import PoolSubscriptions
from viz_node.ports.state import WithAdapters, WithJobs
from viz_node.services.library.look_up import adapter_named
from viz_node.services.library.write_text import Write, WrittenText
from viz_node.services.market.listings import Listings
from viz_node.services.part import Report
from viz_node.services.pools.pool_desk import PoolDesk


class PoolUsesState(WithAdapters, WithJobs, Protocol):
    """The adapters, and the jobs that used them."""


class PoolUses:
    """What this account may use as a subscriber, and what it has used."""

    def __init__(
        self, desk: PoolDesk, store: PoolUsesState, market: PoolSubscriptions, listings: Listings, account: Account
    ) -> None:
        self._desk = desk
        self._store = store
        self._market = market
        self._listings = listings
        self._account = account

    async def covers(self, adapter_number: int) -> bool:
        """Whether a pool that this account subscribes to now has the adapter. Raises: ChainUnavailableError."""
        now = await self._desk.now()
        paid = await asyncio.to_thread(self._market.subscriptions_of, self._account)
        for number, periods in paid.items():
            pool = await self._desk.pool(number)
            rules = self._desk.rule_book.known(pool) if pool.period_at(now) in periods else None
            if rules is not None:  # who pays has them, and of a gift nobody need know any
                members = await self._desk.refresh_members(pool, rules)
                if any(member.adapter == adapter_number for member in members):
                    return True
        return False

    def timed(self, generate: Write) -> Write:
        """The handler with the chain's time and the adapter's id in its results: what is counted, for which period.

        The id, because the adapter may be removed, and its name given to another, before the uses are stated.
        """

        async def handle(job: Job[GenerateOrder], report: Report) -> WrittenText:
            record = adapter_named(self._store.adapters, job.order.adapter)
            used = record.adapter_id if record is not None and record.origin == "fetched" else None
            result = replace(await generate(job, report), used=used)
            try:
                time = await self._desk.now()
            except VizNodeError:  # without the chain the node's own clock must do
                time = self._desk.clock()
            return replace(result, chain_time=time)

        return handle

    async def uses(self, pool: Pool, period: int) -> dict[int, int]:
        """How often the pool's adapters, as fetched, were used in the period, by their numbers on the chain."""
        start, end = pool.end_of(period - 1), pool.end_of(period)
        done = [job for job in self._store.jobs.list_jobs() if job.state is JobState.DONE]
        results = ((job.result, job.order.adapter) for job in done if isinstance(job.order, GenerateOrder))
        names = Counter(
            result.get("used", name) for result, name in results if start <= int(result.get("chain_time", 0)) < end
        )
        members = {member.adapter for member in self._desk.members(pool)}
        counts: dict[int, int] = {}
        for name, count in names.items():
            number = await self._number_of(name) if name else 0
            if number in members:
                counts[number] = counts.get(number, 0) + count
        return counts

    async def _number_of(self, name: str) -> int:
        """The chain's number of a fetched adapter by its id, or by its name as results before this version have it."""
        record = adapter_named(self._store.adapters, name)
        if record is None and is_hex_digest(name):
            manifest = await self._listings.manifest(AdapterId(name), ())
        elif record is None or record.origin != "fetched" or record.manifest is None:
            return 0
        else:
            manifest = self._listings.manifest_of(record)
        digest = bytes.fromhex(manifest.adapter_id())
        found = await asyncio.to_thread(self._market.find_adapter, digest, manifest.account)
        return 0 if found is None else found.number
