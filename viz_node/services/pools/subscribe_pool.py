"""A subscriber's side of pools: pay periods, use the adapters, state the uses when a period is over.

Uses are counted from the finished jobs of this node, so nothing is counted twice and a crash loses none. A statement is
made once per period, signed, kept (`stated/POOL/PERIOD`) and sent until both parties of the pool have it.
"""

import asyncio
import hashlib
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from viz_node.domain.ids import AdapterId, PeerId, TokenAmount, format_amount, format_coin, is_hex_digest
from viz_node.domain.job import Job, JobState
from viz_node.domain.pool import (
    ADOPTED,
    MAX_AHEAD,
    PENDING,
    SILENCE_SECONDS,
    Pool,
    PostedRoot,
    UseStatement,
    parse_statement,
)
from viz_node.domain.transaction import Call
from viz_node.errors import PriceAboveLimitError, RefusedError, UsageError, VizNodeError
from viz_node.services.library.look_up import adapter_named, entry_of
from viz_node.services.part import Report
from viz_node.services.pools.pool_desk import USES_METHOD, PoolDesk, for_each

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 60
Handler = Callable[[Job, Report], Awaitable[dict[str, Any]]]


class Subscriptions:
    """The pools that this account subscribes to."""

    def __init__(self, desk: PoolDesk) -> None:
        self._desk = desk
        self._trade = desk.trade
        self._payments = desk.trade.payments
        self._rest_until: dict[str, int] = {}
        self._stated: set[tuple[int, int]] = set()
        self._ended: set[tuple[int, int]] = set()

    # Paying.

    async def plan(self, number: int, periods: int, limit: int) -> list[dict[str, Any]]:
        """What subscribing costs and means. Raises: as the job."""
        pool, wanted, paid = await self._checked(number, periods, limit)
        rules, fee = await self._desk.rules(pool), TokenAmount(pool.fee * len(wanted))
        quote = await self._trade.payment_quotes.quote(fee, lambda: self._call(pool, wanted, bytes(32)))
        members = await self._desk.refresh_members(pool, rules)
        what = f"subscribe to {rules.name} (pool {number}), period {wanted[0]}"
        what += f" to {max(wanted[-1], *paid)}" if paid else f" to {wanted[-1]}" if periods > 1 else ""
        what += f", without {', '.join(map(str, paid))}, paid already" if paid else ""
        consequence = (
            f"{len(members)} adapters to fetch while it runs; {rules.adapters_share / 100:g} % go to what you use, "
            "which your node states, signed, when a period is over"
        )
        return [
            {
                "what": what,
                "amount": format_amount(fee),
                "gas": format_coin(quote.approval_wei + quote.call_wei),
                "consequence": consequence,
            }
        ]

    async def subscribe(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: pay the next periods, once. Raises: PriceAboveLimitError, UsageError, and as a transaction does."""
        number, periods = int(job.order["pool"]), int(job.order["periods"])
        order_id = f"subscribe:{job.job_id}"
        paid = await self._trade.treasury.finish(order_id)
        if paid is not None:
            return _result(paid.detail, paid.tx_hash)
        terms = (await self._desk.pool(number)).terms.hex()
        if job.order.get("terms", terms) != terms:
            raise RefusedError(f"pool {number} is not the one that was ordered", f"viz-node pool show {number}")
        pool, wanted, skipped = await self._checked(number, periods, int(job.order["max_price"]))
        failed = entry_of(self._trade.store, order_id)
        if failed is not None:  # the same periods again, so that the contract refuses what was paid after all
            wanted, skipped = failed.detail["wanted"], failed.detail["skipped"]
        fee = TokenAmount(pool.fee * len(wanted))
        report({"phase": "subscribe", "step": 1, "steps": 1})
        reference = hashlib.sha256(job.job_id.encode()).digest()
        detail = {"kind": "subscribe", "pool": number, "wanted": wanted, "skipped": skipped, "paid": fee}
        call = self._call(pool, wanted, reference)
        tx_hash = await self._payments.execute(order_id, fee, lambda: call, detail | {"job": job.job_id})
        return _result(detail, tx_hash)

    async def order(self, number: int, periods: int, limit: int) -> dict[str, Any]:
        """The order for a job, bound to the pool that has the number now. Raises: NotFoundError."""
        terms = (await self._desk.pool(number)).terms.hex()
        return {"pool": number, "periods": periods, "max_price": limit, "terms": terms}

    def _call(self, pool: Pool, wanted: Sequence[int], reference: bytes) -> Call:
        prepare = self._trade.market.prepare_subscribe
        return prepare(pool.number, pool.terms, self._trade.keys.account, wanted, reference)

    async def _checked(self, number: int, periods: int, limit: int) -> tuple[Pool, list[int], list[int]]:
        """The pool, the periods to pay, and those between them that are paid already; its rules are here.

        Anybody may have given some: those are passed over, and cost nothing.
        """
        if not 1 <= periods <= MAX_AHEAD:
            raise UsageError(f"one can pay 1 to {MAX_AHEAD} periods", "--periods 1")
        pool = await self._desk.pool(number)
        await self._desk.rules(pool)
        current = pool.period_at(await self._desk.now())
        paid = set(await self._periods(number))
        first = next(period for period in range(current, current + MAX_AHEAD + 1) if period not in paid)
        row = range(first, first + periods)
        if row.stop > current + MAX_AHEAD:
            raise RefusedError(
                f"pool {number} is paid up to period {first - 1}, and period {row[-1]} is too far ahead",
                f"viz-node pool show {number}",
            )
        wanted, skipped = [period for period in row if period not in paid], [period for period in row if period in paid]
        if pool.fee * len(wanted) > limit:
            fee = format_amount(pool.fee * len(wanted))
            raise PriceAboveLimitError(
                f"{len(wanted)} periods of pool {number} cost {fee}, more than {format_amount(limit)}",
                f"viz-node pool subscribe {number} --periods {periods} --max-price {fee}",
            )
        return pool, wanted, skipped

    async def _periods(self, number: int) -> Sequence[int]:
        found = await asyncio.to_thread(self._trade.market.subscriptions_of, self._trade.keys.account)
        return list(found.get(number, ()))

    # Using.

    async def covers(self, adapter_number: int) -> bool:
        """Whether a pool that this account subscribes to now has the adapter. Raises: ChainUnavailableError."""
        now = await self._desk.now()
        paid = await asyncio.to_thread(self._trade.market.subscriptions_of, self._trade.keys.account)
        for number, periods in paid.items():
            pool = await self._desk.pool(number)
            rules = self._desk.known_rules(pool) if pool.period_at(now) in periods else None
            if rules is not None:  # who pays has them, and of a gift nobody need know any
                members = await self._desk.refresh_members(pool, rules)
                if any(member.adapter == adapter_number for member in members):
                    return True
        return False

    def timed(self, generate: Handler) -> Handler:
        """The handler with the chain's time and the adapter's id in its results: what is counted, for which period.

        The id, because the adapter may be removed, and its name given to another, before the uses are stated.
        """

        async def handle(job: Job, report: Report) -> dict[str, Any]:
            record = adapter_named(self._trade.store, str(job.order["adapter"]))
            used = record.adapter_id if record is not None and record.origin == "fetched" else None
            result = await generate(job, report) | {"used": used}
            try:
                time = await self._desk.now()
            except VizNodeError:  # without the chain the node's own clock must do
                time = self._trade.now()
            return result | {"chain_time": time}

        return handle

    async def uses(self, pool: Pool, period: int) -> dict[int, int]:
        """How often the pool's adapters, as fetched, were used in the period, by their numbers on the chain."""
        start, end = pool.end_of(period - 1), pool.end_of(period)
        done = [job for job in self._trade.store.list_jobs() if (job.kind, job.state) == ("generate", JobState.DONE)]
        results = ((job.result or {}, str(job.order["adapter"])) for job in done)
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
        record = adapter_named(self._trade.store, name)
        if record is None and is_hex_digest(name):
            manifest = await self._trade.catalogue.manifest(AdapterId(name), ())
        elif record is None or record.origin != "fetched" or record.manifest is None:
            return 0
        else:
            manifest = self._trade.catalogue.manifest_of(record)
        digest = bytes.fromhex(manifest.adapter_id())
        found = await asyncio.to_thread(self._trade.market.find_adapter, digest, manifest.account)
        return 0 if found is None else found.number

    # What is due when a period is over.

    async def watch(self) -> None:
        """State the uses of periods that are over, and call back fees of those that nobody divided in time.

        Only of what this account has paid: whoever gives a subscription shall not learn what the reader uses, nor have
        it spend gas. Raises: VizNodeError.
        """
        now, account = await self._desk.now(), self._trade.keys.account
        paid = await asyncio.to_thread(self._trade.market.subscriptions_of, account, account)
        await for_each(paid, lambda number: self._attend(number, paid[number], now))

    async def _attend(self, number: int, periods: Sequence[int], now: int) -> None:
        pool = await self._desk.pool(number)
        over = [period for period in periods if pool.end_of(period) <= now and (number, period) not in self._ended]
        roots = await asyncio.to_thread(self._trade.market.posted_roots, number) if over else []
        covering = {
            period: root
            for root in roots
            if root.state in (PENDING, ADOPTED)
            for period in range(root.first, root.through + 1)
        }

        async def attend(period: int) -> None:
            root = covering.get(period)
            if root is not None and root.state == ADOPTED:
                if now >= root.until:
                    await self._call_back_rest(pool, root, period)
            elif pool.end_of(period) + SILENCE_SECONDS > now:
                if (number, period) not in self._stated:
                    await self._state(pool, period)
            elif root is None:
                await self._call_back(pool, period)

        await for_each(over, attend)

    async def _state(self, pool: Pool, period: int) -> None:
        key = f"stated/{pool.number}/{period}"
        record = self._trade.store.find_pool_record(key) or await self._new_statement(pool, period, key)
        rules = await self._desk.rules(pool)
        parties = [rules.operator_peer, rules.challenger_peer]
        missing = [peer for peer in parties if peer not in record["told"]] if record["row"] else []
        for peer_id in missing:
            if await self._tell(pool, peer_id, record["row"]):
                record["told"].append(peer_id)
        self._trade.store.save_pool_record(key, record)
        if not record["row"] or len(record["told"]) == len(parties):
            self._stated.add((pool.number, period))

    async def _new_statement(self, pool: Pool, period: int, key: str) -> dict[str, Any]:
        await self._desk.refresh_members(pool, await self._desk.rules(pool))
        uses = await self.uses(pool, period)
        row = None
        if uses:
            statement = UseStatement(pool.place, period, self._trade.keys.account, uses)
            row = (await asyncio.to_thread(statement.signed, self._trade.sealing.sign_as_account)).row()
        record: dict[str, Any] = {"row": row, "told": []}
        self._trade.store.save_pool_record(key, record)
        return record

    async def _tell(self, pool: Pool, peer_id: PeerId, row: dict[str, Any]) -> bool:
        """Whether the peer has the statement. One that refuses or is away is asked again, until a root is adopted."""
        if self._trade.now() < self._rest_until.get(peer_id, 0):
            return False
        try:
            if peer_id == self._trade.keys.peer_id:
                self._desk.keep_statement(pool, parse_statement(row, pool.place))
            else:
                await self._desk.ask(peer_id, USES_METHOD, {"pool": pool.number, "row": row})
        except VizNodeError as error:
            log.warning("uses of period %d of pool %d: %s", row["period"], pool.number, error.message)
            self._rest_until[peer_id] = self._trade.now() + _AGAIN_SECONDS
            return False
        return True

    async def _call_back(self, pool: Pool, period: int) -> None:
        """Take back the fee of a period that was not divided in time."""
        market, account = self._trade.market, self._trade.keys.account
        is_open = await asyncio.to_thread(market.pool_income, pool.number, period) > 0
        if is_open and await self._has_paid(pool, period):
            await self._trade.treasury.execute(
                f"pool-refund:{pool.number}:{period}",
                lambda: market.prepare_refund_period(pool.number, period, account),
                {"kind": "pool refund", "pool": pool.number, "period": period},
            )
        self._ended.add((pool.number, period))

    async def _call_back_rest(self, pool: Pool, root: PostedRoot, period: int) -> None:
        """Take back the fee's part of what no split claimed in time, if it is worth the gas."""
        market, account = self._trade.market, self._trade.keys.account
        left, fees = await asyncio.to_thread(market.pool_rest, pool.number, root.through)
        if left and await self._has_paid(pool, period):
            call = market.prepare_refund_rest(pool.number, root.through, period, account)
            if await self._desk.costs(call) <= left // fees:
                detail = {"kind": "pool refund", "pool": pool.number, "period": period}
                await self._trade.treasury.execute(f"pool-rest:{pool.number}:{period}", lambda: call, detail)
        self._ended.add((pool.number, period))

    async def _has_paid(self, pool: Pool, period: int) -> bool:
        """Whether this account has paid its own fee of the period, and does not have it back."""
        account = self._trade.keys.account
        payer = await asyncio.to_thread(self._trade.market.subscription_payer, pool.number, period, account)
        return payer == account


def _result(detail: dict[str, Any], tx_hash: str) -> dict[str, Any]:
    told = {"pool": detail["pool"], "periods": detail["wanted"], "skipped": detail["skipped"]}
    return told | {"paid": format_amount(detail["paid"]), "tx_hash": tx_hash}
