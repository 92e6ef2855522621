"""An owner's side of pools: join with an adapter, give its key to subscribers, take what the pool gives its split.

An adopted root is final, yet its splits are credited for half a year only. So the node credits its own soon, when that
brings ten times the gas, and before the end whatever brings more than the gas. What is due is read from the chain, and
what is on its way from the outbox: a look that was killed is simply repeated.

Kept records: `joined/POOL/ADAPTER`, the membership and the peers that have it, `left` when it was ended.
"""

import asyncio
import logging
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any

from viz_node.domain.ids import WHOLE, Account, PeerId, format_amount, format_coin
from viz_node.domain.job import Job
from viz_node.domain.manifest import canonical_bytes
from viz_node.domain.pool import ADOPTED, LAPSE_SECONDS, PENDING, Pool, PoolClaim, PoolMember, PostedRoot
from viz_node.domain.terms import DAY_SECONDS
from viz_node.errors import (
    DeadlineError,
    NotFoundError,
    PeerUnreachableError,
    RefusedError,
    TransactionRevertedError,
    VerificationError,
    VizNodeError,
)
from viz_node.services.part import Report
from viz_node.services.pools.pool_desk import JOIN_METHOD, PoolDesk, for_each

log = logging.getLogger(__name__)

_CREDIT = "pool credit"
# A claim takes sixty thousand gas in a batch (contracts/snapshots/Parts.json).
_MOST_AT_ONCE = 50
_WORTH = 10
_LAST_CALL_SECONDS = 30 * DAY_SECONDS
# Operator and challenger have their turns to adopt before.
_MEMBERS_TURN = LAPSE_SECONDS // 2


class PoolMembers:
    """The adapters of this node that pools have."""

    def __init__(self, desk: PoolDesk) -> None:
        self._desk = desk
        self._trade = desk.trade
        self._settled: set[tuple[int, int]] = set()

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
        record = self._trade.store.find_pool_record(key)
        if record is None or record.get("left"):
            raise NotFoundError(f"{listing.manifest.name} is not in pool {number}", f"viz-node pool show {number}")
        self._trade.store.save_pool_record(key, record | {"left": True})
        return {"pool": number, "adapter": listing.manifest.name}

    async def granted_in(self, adapter_number: int, account: Account) -> list[int | None]:
        """In which blocks the running periods of pools that have the adapter were paid for the account.

        Raises: ChainUnavailableError.
        """
        joined = self._trade.store.pool_records_with("joined/")
        keys = [key.split("/") for key, record in joined.items() if not record.get("left")]
        now, blocks = await self._desk.now(), list[int | None]()
        for number in [int(pool) for _, pool, adapter in keys if int(adapter) == adapter_number]:
            period = (await self._desk.pool(number)).period_at(now)
            block = await asyncio.to_thread(self._trade.market.subscribed_in, number, period, account)
            blocks += [] if block is None else [block]
        return blocks

    async def watch(self) -> None:
        """Tell operators and challengers what they did not hear, get what was divided, and have it credited.

        Raises: VizNodeError.
        """
        joined = self._trade.store.pool_records_with("joined/")
        parts = [lambda key=key: self._attend(key, joined[key]) for key in joined]
        await for_each([*parts, self._credit_worthy], lambda part: part())

    async def _attend(self, key: str, record: dict[str, Any]) -> None:
        pool = await self._desk.pool(int(key.split("/")[1]))
        if len(record["told"]) < 2 and not record.get("left"):
            await self._tell(pool, key, record)
        roots, now = await asyncio.to_thread(self._trade.market.posted_roots, pool.number), await self._desk.now()
        if roots and roots[-1].state == PENDING and now >= roots[-1].adoptable_at + _MEMBERS_TURN:
            await self._adopt(pool, len(roots))
        missing = [root for root in roots if root.state == ADOPTED and now < root.until]
        # Whoever is paid by a root keeps its data.
        await for_each([root for root in missing if not self._desk.has_data(root)], partial(self._desk.division, pool))

    async def _adopt(self, pool: Pool, count: int) -> None:
        """Everybody else rests, and soon the root lapses."""
        make_call, detail = self._trade.market.prepare_adopt_root, {"kind": "pool adopt", "pool": pool.number}
        with suppress(TransactionRevertedError):  # somebody was faster
            await self._trade.treasury.submit(
                f"pool-adopt:{pool.number}:{count}", lambda: make_call(pool.number), detail
            )

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

    async def credits(self) -> list[dict[str, Any]]:
        """What crediting own splits from pools brings and costs. Raises: ChainUnavailableError."""
        rows = []
        for due in await self._dues():
            call = self._trade.market.prepare_claim_pool([due.claim])
            rows.append(
                {
                    "what": f"credit split {due.claim.split_id} from pool {due.claim.pool}, period {due.claim.through}",
                    "amount": "",
                    "gas": format_coin(await self._trade.quotes.quote_wei(call)),
                    "consequence": f"{format_amount(due.claim.units)} are added to what the split pays",
                }
            )
        return rows

    async def owed(self) -> int:
        """Units that own splits do not have yet, of pools whose data is here. Raises: ChainUnavailableError."""
        return sum(due.claim.units for due in await self._dues(is_patient=False))

    async def collect(self, job: Job, report: Report) -> list[str]:
        """Have own splits credited what adopted roots give them, each once; the transactions' hashes."""
        hashes: list[str | None] = []
        for order_id in dict.fromkeys(self._on_its_way().values()):
            with suppress(TransactionRevertedError):  # somebody else had them credited
                hashes.append(await self._finish(order_id))
        while dues := (await self._dues())[:_MOST_AT_ONCE]:
            report({"phase": "credit", "step": len(hashes) + 1, "steps": len(hashes) + 1})
            order_id = await self._submit(dues, {"job": job.job_id})
            try:
                hashes.append(await self._finish(order_id))
            except TransactionRevertedError:
                if await self._dues() == dues:
                    raise
        return [tx_hash for tx_hash in hashes if tx_hash]

    async def _credit_worthy(self) -> None:
        """Credit own splits, unless that costs more than it brings, or waits for more to come."""
        dues = (await self._dues(is_patient=False))[:_MOST_AT_ONCE]
        if not dues:
            return
        call = self._trade.market.prepare_claim_pool([due.claim for due in dues])
        cost, brought = await self._desk.costs(call), sum(due.brought for due in dues)
        is_late = min(due.until for due in dues) - await self._desk.now() < _LAST_CALL_SECONDS
        if cost * (1 if is_late else _WORTH) <= brought:
            await self._submit(dues, {})

    async def _submit(self, dues: Sequence["_Due"], detail: dict[str, Any]) -> str:
        """Send it, once; the order's id."""
        claims = [due.claim for due in dues]
        names = [[claim.pool, claim.through, claim.split_id] for claim in claims]
        order_id = f"pool-credit:{sha256(canonical_bytes(names)).hexdigest()}"
        detail |= {"kind": _CREDIT, "claims": names}
        await self._trade.treasury.submit(order_id, lambda: self._trade.market.prepare_claim_pool(claims), detail)
        return order_id

    async def _finish(self, order_id: str) -> str | None:
        done = await self._trade.treasury.finish(order_id)
        return None if done is None else done.tx_hash

    def _on_its_way(self) -> dict[tuple[int, ...], str]:
        """The orders of claims that may be in a block soon."""
        orders = [entry for entry in self._trade.store.pending_outbox() if entry.kind == _CREDIT]
        return {tuple(name): entry.order_id for entry in orders for name in entry.detail["claims"]}

    async def _dues(self, is_patient: bool = True) -> list["_Due"]:
        """What the pools that this node is in, or runs, give its splits; a pool whose data is away comes later.

        Data that is not here is fetched, which may take a while, unless the caller has no patience.
        """
        market, account = self._trade.market, self._trade.keys.account
        joined = {int(key.split("/")[1]) for key in self._trade.store.pool_records_with("joined/")}
        run = {pool.number for pool in await asyncio.to_thread(market.pools_of, account)}
        shares = {row.split_id: row.share for row in await asyncio.to_thread(market.royalties_of, account)}
        now, found = await self._desk.now(), list[_Due]()
        for number in sorted(joined | run):
            pool, roots = await self._desk.pool(number), await asyncio.to_thread(market.posted_roots, number)
            for root in roots:
                if root.state == ADOPTED and now < root.until and (number, root.through) not in self._settled:
                    found += await self._of_root(pool, root, shares, is_patient)
        on_its_way = self._on_its_way()
        return [due for due in found if (due.claim.pool, due.claim.through, due.claim.split_id) not in on_its_way]

    async def _of_root(self, pool: Pool, root: PostedRoot, shares: Mapping[int, int], is_patient: bool) -> list["_Due"]:
        if not is_patient and not self._desk.has_data(root):
            return []
        try:
            totals = (await self._desk.division(pool, root)).totals
        except (VerificationError, NotFoundError, PeerUnreachableError, DeadlineError) as error:
            log.warning("pool %d: %s", pool.number, error.message)
            return []
        own = [PoolClaim(pool.number, root.through, split_id, totals) for split_id in sorted(shares.keys() & totals)]
        left = await asyncio.to_thread(self._trade.market.uncredited, own)
        if not left:  # not looked at again until the next start
            self._settled.add((pool.number, root.through))
        return [_Due(claim, claim.units * shares[claim.split_id] // WHOLE, root.until) for claim in left]


@dataclass(frozen=True)
class _Due:
    """Units that a split is not credited yet, and what of them comes to this account; there is time `until` then."""

    claim: PoolClaim
    brought: int
    until: int
