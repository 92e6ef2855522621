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
from viz_node.domain.pool import MAX_AHEAD, SILENCE_SECONDS, UseStatement, parse_statement
from viz_node.errors import PriceAboveLimitError, RefusedError, UsageError, VizNodeError
from viz_node.ports import Call, Pool
from viz_node.services.jobs import Report
from viz_node.services.library import adapter_named, entry_of
from viz_node.services.pay_price import Payments
from viz_node.services.pool_desk import PENDING, USES_METHOD, PoolDesk, for_each

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 60
Handler = Callable[[Job, Report], Awaitable[dict[str, Any]]]


class Subscriptions:
    """The pools that this account subscribes to."""

    def __init__(self, desk: PoolDesk) -> None:
        self._desk = desk
        self._trade = desk.trade
        self._payments = Payments(desk.trade)
        self._rest_until: dict[str, int] = {}
        self._ended: set[tuple[int, int]] = set()

    # Paying.

    async def plan(self, number: int, periods: int, limit: int) -> list[dict[str, Any]]:
        """What subscribing costs and means. Raises: as the job."""
        pool, first = await self._checked(number, periods, limit)
        rules, fee = await self._desk.rules(pool), TokenAmount(pool.fee * periods)
        quote = await self._payments.quote(fee, lambda: self._call(number, first, periods, bytes(32)))
        members = await self._desk.refresh_members(pool, rules)
        what = f"subscribe to {rules.name} (pool {number}), period {first}"
        what += f" to {first + periods - 1}" if periods > 1 else ""
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
        pool, first = await self._checked(number, periods, int(job.order["max_price"]))
        failed = entry_of(self._trade.store, order_id)
        if failed is not None:  # the same periods again, so that the contract refuses what was paid after all
            first = int(failed.detail["first"])
        fee = TokenAmount(pool.fee * periods)
        report({"phase": "subscribe", "step": 1, "steps": 1})
        reference = hashlib.sha256(job.job_id.encode()).digest()
        detail = {"kind": "subscribe", "pool": number, "first": first, "periods": periods, "paid": fee}
        call = self._call(number, first, periods, reference)
        tx_hash = await self._payments.execute(order_id, fee, lambda: call, detail | {"job": job.job_id})
        return _result(detail, tx_hash)

    def _call(self, number: int, first: int, periods: int, reference: bytes) -> Call:
        prepare = self._trade.market.prepare_subscribe
        return prepare(number, self._trade.keys.account, first, periods, reference)

    async def _checked(self, number: int, periods: int, limit: int) -> tuple[Pool, int]:
        """The pool and the first period that is not paid yet; its rules are here."""
        if not 1 <= periods <= MAX_AHEAD:
            raise UsageError(f"one can pay 1 to {MAX_AHEAD} periods", "--periods 1")
        pool = await self._desk.pool(number)
        await self._desk.rules(pool)
        if pool.fee * periods > limit:
            fee = format_amount(pool.fee * periods)
            raise PriceAboveLimitError(
                f"{periods} periods of pool {number} cost {fee}, more than {format_amount(limit)}",
                f"viz-node pool subscribe {number} --periods {periods} --max-price {fee}",
            )
        current = pool.period_at(await self._desk.now())
        paid = set(await self._periods(number))
        first = next(period for period in range(current, current + MAX_AHEAD + 1) if period not in paid)
        if first + periods > current + MAX_AHEAD or paid & set(range(first, first + periods)):
            raise RefusedError(f"pool {number} is paid up to period {max(paid)}", f"viz-node pool show {number}")
        return pool, first

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
        over = [period for period in periods if pool.end_of(period) <= now]
        for period in over:
            if (number, period) in self._ended:
                continue
            if pool.end_of(period) + SILENCE_SECONDS <= now:
                await self._call_back(pool, period)
            elif period >= pool.next_period:
                await self._state(pool, period)

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
            self._ended.add((pool.number, period))

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
        roots = await asyncio.to_thread(market.posted_roots, pool.number)
        if roots and roots[-1].state == PENDING and period <= roots[-1].through:
            return
        is_open = period >= pool.next_period and await asyncio.to_thread(market.pool_income, pool.number, period) > 0
        is_paid = await asyncio.to_thread(market.subscription_payer, pool.number, period, account) == account
        if is_open and is_paid:
            await self._trade.treasury.execute(
                f"pool-refund:{pool.number}:{period}",
                lambda: market.prepare_refund_period(pool.number, period, account),
                {"kind": "pool refund", "pool": pool.number, "period": period},
            )
        self._ended.add((pool.number, period))


def _result(detail: dict[str, Any], tx_hash: str) -> dict[str, Any]:
    told = {"pool": detail["pool"], "first_period": detail["first"], "periods": detail["periods"]}
    return told | {"paid": format_amount(detail["paid"]), "tx_hash": tx_hash}
