"""An owner's side of pools: join with an adapter, give its key to subscribers, take what the pool gives its split.

Kept records: `joined/POOL/ADAPTER`, the membership and the peers that have it.
"""

import asyncio
import logging
from dataclasses import dataclass
from typing import Any

from viz_node.domain.ids import Account, PeerId, format_amount, format_coin
from viz_node.domain.job import Job
from viz_node.domain.pool import PoolMember
from viz_node.errors import (
    DeadlineError,
    NotFoundError,
    PeerUnreachableError,
    RefusedError,
    TransactionRevertedError,
    VerificationError,
    VizNodeError,
)
from viz_node.ports import Pool
from viz_node.services.jobs import Report
from viz_node.services.pool_desk import JOIN_METHOD, PoolDesk, for_each

log = logging.getLogger(__name__)


class PoolMembers:
    """The adapters of this node that pools have."""

    def __init__(self, desk: PoolDesk) -> None:
        self._desk = desk
        self._trade = desk.trade

    async def join(self, number: int, adapter: str) -> dict[str, Any]:
        """Give subscribers of a pool the key of an adapter from now on, for its part of the fees.

        Raises: NotFoundError, RefusedError (another's adapter, or not for sale), PeerUnreachableError.
        """
        pool, listing = await self._desk.pool(number), await self._trade.catalogue.listing(adapter)
        if listing.manifest.account != self._trade.keys.account:
            raise RefusedError(f"{listing.manifest.name} is another's to give", "see `viz-node adapters list`")
        place = pool.place, listing.adapter_number, self._trade.keys.account, listing.offer.split_id
        member = await asyncio.to_thread(PoolMember(*place).signed, self._trade.sealing.sign_as_account)
        key = f"joined/{number}/{listing.adapter_number}"
        record = {"row": member.row(), "told": [], "adapter_id": listing.adapter_id}
        self._trade.store.save_pool_record(key, record)
        told = await self._tell(pool, key, record)
        return {"pool": number, "adapter": listing.manifest.name, "split": listing.offer.split_id, "told": len(told)}

    async def leave(self, number: int, adapter: str) -> dict[str, Any]:
        """Give nobody the key any more for being a subscriber; what they have stays, and its uses are still paid."""
        listing = await self._trade.catalogue.listing(adapter)
        key = f"joined/{number}/{listing.adapter_number}"
        if self._trade.store.find_pool_record(key) is None:
            raise NotFoundError(f"{listing.manifest.name} is not in pool {number}", f"viz-node pool show {number}")
        self._trade.store.remove_pool_record(key)
        return {"pool": number, "adapter": listing.manifest.name}

    async def granted_in(self, adapter_number: int, account: Account) -> list[int | None]:
        """In which blocks the running periods of pools that have the adapter were paid for the account.

        Raises: ChainUnavailableError.
        """
        keys = [key.split("/") for key in self._trade.store.pool_records_with("joined/")]
        now, blocks = await self._desk.now(), list[int | None]()
        for number in [int(pool) for _, pool, adapter in keys if int(adapter) == adapter_number]:
            period = (await self._desk.pool(number)).period_at(now)
            block = await asyncio.to_thread(self._trade.market.subscribed_in, number, period, account)
            blocks += [] if block is None else [block]
        return blocks

    async def watch(self) -> None:
        """Tell operators and challengers what they did not hear, and get what was divided. Raises: VizNodeError."""
        joined = self._trade.store.pool_records_with("joined/")
        await for_each(joined, lambda key: self._attend(key, joined[key]))

    async def _attend(self, key: str, record: dict[str, Any]) -> None:
        pool = await self._desk.pool(int(key.split("/")[1]))
        if len(record["told"]) < 2:
            await self._tell(pool, key, record)
        roots = await asyncio.to_thread(self._trade.market.posted_roots, pool.number)
        if not self._desk.has_data(roots):  # whoever is paid by a root keeps its data
            await self._desk.totals(pool, roots)

    async def _tell(self, pool: Pool, key: str, record: dict[str, Any]) -> list[PeerId]:
        told: list[PeerId] = list(record["told"])
        rules = await self._desk.rules(pool)
        for peer_id in (rules.operator_peer, rules.challenger_peer):
            if peer_id not in told:
                try:
                    await self._say(pool, peer_id, record["row"])
                except VizNodeError:  # the watch says it again
                    continue
                told.append(peer_id)
        self._trade.store.save_pool_record(key, record | {"told": told})
        return told

    async def _say(self, pool: Pool, peer_id: PeerId, row: dict[str, Any]) -> None:
        if peer_id == self._trade.keys.peer_id:
            await self._desk.take_member(pool, row)
        else:
            await self._desk.ask(peer_id, JOIN_METHOD, {"pool": pool.number, "row": row})

    # Money.

    async def plan(self) -> list[dict[str, Any]]:
        """What crediting own splits from pools brings and costs. Raises: ChainUnavailableError."""
        rows = []
        for due in await self._dues():
            call = self._trade.market.prepare_claim_pool(due.pool.number, due.split_id, due.totals)
            rows.append(
                {
                    "what": f"credit split {due.split_id} from pool {due.pool.number}",
                    "amount": "",
                    "gas": format_coin(await self._trade.treasury.quote_wei(call)),
                    "consequence": f"{format_amount(due.units)} are added to what the split pays",
                }
            )
        return rows

    async def owed(self) -> int:
        """Units that own splits do not have yet, of pools whose data is here. Raises: ChainUnavailableError."""
        return sum(due.units for due in await self._dues(is_patient=False))

    async def collect(self, job: Job, report: Report) -> list[str]:
        """Have own splits credited what adopted roots give them, each once; the transactions' hashes."""
        dues, hashes = await self._dues(), []
        for step, due in enumerate(dues, 1):
            report({"phase": "credit", "step": step, "steps": len(dues)})
            tx_hash = await self._credit(job, due)
            hashes += [tx_hash] if tx_hash else []
        return hashes

    async def _credit(self, job: Job, due: "_Due") -> str | None:
        detail = {"kind": "pool credit", "pool": due.pool.number, "split_id": due.split_id, "job": job.job_id}
        order_id = f"pool-credit:{due.pool.number}:{due.split_id}:{due.totals[due.split_id]}"
        prepare = self._trade.market.prepare_claim_pool
        try:
            return await self._trade.treasury.execute(
                order_id, lambda: prepare(due.pool.number, due.split_id, due.totals), detail
            )
        except TransactionRevertedError:
            # Anyone may credit a split: then it is done.
            if await self._left(due.pool, due.split_id, due.totals):
                raise
            return None

    async def _dues(self, is_patient: bool = True) -> list["_Due"]:
        """What the pools that this node is in, or runs, give its splits; a pool whose data is away comes later.

        Data that is not here is fetched, which may take a while, unless the caller has no patience.
        """
        market, account = self._trade.market, self._trade.keys.account
        joined = {int(key.split("/")[1]) for key in self._trade.store.pool_records_with("joined/")}
        run = {pool.number for pool in await asyncio.to_thread(market.pools_of, account)}
        own = {row.split_id for row in await asyncio.to_thread(market.royalties_of, account)}
        found = []
        for number in sorted(joined | run):
            pool, roots = await self._desk.pool(number), await asyncio.to_thread(market.posted_roots, number)
            if not is_patient and not self._desk.has_data(roots):
                continue
            try:
                totals = await self._desk.totals(pool, roots)
            except (VerificationError, NotFoundError, PeerUnreachableError, DeadlineError) as error:
                log.warning("pool %d: %s", number, error.message)
                continue
            for split_id in sorted(own & set(totals)):
                if left := await self._left(pool, split_id, totals):
                    found.append(_Due(pool, split_id, left, totals))
        return found

    async def _left(self, pool: Pool, split_id: int, totals: dict[int, int]) -> int:
        return totals[split_id] - await asyncio.to_thread(self._trade.market.pool_credit, pool.number, split_id)


@dataclass(frozen=True)
class _Due:
    """Units that a pool's adopted root gives a split beyond what it was credited; `totals` are behind the root."""

    pool: Pool
    split_id: int
    units: int
    totals: dict[int, int]
