"""Pay periods of a pool: which ones, for how much, and the payment, once."""

import asyncio
import hashlib
from collections.abc import Sequence
from typing import Any

from viz_node.domain.counting import counted
from viz_node.domain.ids import (
    Account,
    TokenAmount,
    format_amount,
    format_coin,
    format_moment,
    format_time,
    format_tokens,
)
from viz_node.domain.job import Job
from viz_node.domain.pool import (
    MAX_AHEAD,
    Pool,
)
from viz_node.domain.transaction import Call
from viz_node.errors import PriceAboveLimitError, RefusedError, UsageError
from viz_node.ports.pools import PoolSubscriptions
from viz_node.ports.state import Outbox
from viz_node.services.library.look_up import entry_of
from viz_node.services.money.pay_price import Payments
from viz_node.services.money.quote_payment import PaymentQuotes
from viz_node.services.part import Report
from viz_node.services.pools.pool_desk import PoolDesk


class PeriodChoice:
    """Which periods a subscription of this account would pay now; sends nothing."""

    def __init__(self, desk: PoolDesk, market: PoolSubscriptions, account: Account) -> None:
        self._desk = desk
        self._market = market
        self._account = account

    async def order(self, number: int, periods: int, limit: int) -> dict[str, Any]:
        """The order for a job, bound to the pool that has the number now. Raises: NotFoundError."""
        terms = (await self._desk.pool(number)).terms.hex()
        return {"pool": number, "periods": periods, "max_price": limit, "terms": terms}

    def call(self, pool: Pool, wanted: Sequence[int], reference: bytes) -> Call:
        """What pays these periods."""
        prepare = self._market.prepare_subscribe
        return prepare(pool.number, pool.terms, self._account, wanted, reference)

    async def check(self, number: int, periods: int, limit: int) -> tuple[Pool, list[int], list[int]]:
        """The pool, the periods to pay, and those between them that are paid already; its rules are here.

        Anybody may have given some: those are passed over, and cost nothing.
        """
        if not 1 <= periods <= MAX_AHEAD:
            raise UsageError(f"one can pay 1 to {MAX_AHEAD} periods", "--periods 1")
        pool = await self._desk.pool(number)
        await self._desk.rule_book.of(pool)
        current = pool.period_at(await self._desk.now())
        paid = set(await self._periods(number))
        first = next(period for period in range(current, current + MAX_AHEAD + 1) if period not in paid)
        row = range(first, first + periods)
        if row.stop > current + MAX_AHEAD:
            raise RefusedError(
                f"pool {number} is paid until {format_moment(pool.end_of(first - 1))}; "
                f"{format_moment(pool.end_of(row[-1]))} is too far ahead",
                f"viz-node pool show {number}",
            )
        wanted, skipped = [period for period in row if period not in paid], [period for period in row if period in paid]
        if pool.fee * len(wanted) > limit:
            cost = pool.fee * len(wanted)
            raise PriceAboveLimitError(
                f"{counted(len(wanted), 'period')} of pool {number} cost {format_tokens(cost)}, "
                f"more than {format_tokens(limit)}",
                f"viz-node pool subscribe {number} --periods {periods} --max-price {format_amount(cost)}",
            )
        return pool, wanted, skipped

    async def _periods(self, number: int) -> Sequence[int]:
        found = await asyncio.to_thread(self._market.subscriptions_of, self._account)
        return list(found.get(number, ()))


class SubscriptionPlans:
    """What subscribing costs and means."""

    def __init__(self, desk: PoolDesk, choice: PeriodChoice, quotes: PaymentQuotes) -> None:
        self._desk = desk
        self._choice = choice
        self._quotes = quotes

    async def plan(self, number: int, periods: int, limit: int) -> list[dict[str, Any]]:
        """What subscribing costs and means. Raises: as the job."""
        pool, wanted, paid = await self._choice.check(number, periods, limit)
        rules, fee = await self._desk.rule_book.of(pool), TokenAmount(pool.fee * len(wanted))
        quote = await self._quotes.quote(fee, lambda: self._choice.call(pool, wanted, bytes(32)))
        members = await self._desk.refresh_members(pool, rules)
        last = max(wanted[-1], *paid) if paid else wanted[-1]
        what = f"subscribe to {rules.name} (pool {number}), period #{wanted[0]}"
        what += f" to #{last}" if last > wanted[0] else ""
        what += f", without {', '.join(f'#{period}' for period in paid)}, paid already" if paid else ""
        what += f", until {format_moment(pool.end_of(last))}"
        consequence = (
            f"{counted(len(members), 'adapter')} to fetch while it runs; "
            f"{rules.adapters_share / 100:g} % go to what you use, "
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


class Subscriptions:
    """Pays periods of pools."""

    def __init__(self, desk: PoolDesk, outbox: Outbox, choice: PeriodChoice, payments: Payments) -> None:
        self._desk = desk
        self._outbox = outbox
        self._choice = choice
        self._payments = payments

    async def subscribe(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: pay the next periods, once. Raises: PriceAboveLimitError, UsageError, and as a transaction does."""
        number, periods = int(job.order["pool"]), int(job.order["periods"])
        order_id = f"subscribe:{job.job_id}"
        paid = await self._payments.finish(order_id)
        if paid is not None:
            return _result(paid.detail, paid.tx_hash)
        terms = (await self._desk.pool(number)).terms.hex()
        if job.order.get("terms", terms) != terms:
            raise RefusedError(f"pool {number} is not the one that was ordered", f"viz-node pool show {number}")
        pool, wanted, skipped = await self._choice.check(number, periods, int(job.order["max_price"]))
        failed = entry_of(self._outbox, order_id)
        if failed is not None:  # the same periods again, so that the contract refuses what was paid after all
            wanted, skipped = failed.detail["wanted"], failed.detail["skipped"]
        fee = TokenAmount(pool.fee * len(wanted))
        report({"phase": "subscribe", "step": 1, "steps": 1})
        reference = hashlib.sha256(job.job_id.encode()).digest()
        detail = {"kind": "subscribe", "pool": number, "wanted": wanted, "skipped": skipped, "paid": fee}
        detail["until"] = pool.end_of(wanted[-1])
        call = self._choice.call(pool, wanted, reference)
        tx_hash = await self._payments.execute(order_id, fee, lambda: call, detail | {"job": job.job_id})
        return _result(detail, tx_hash)


def _result(detail: dict[str, Any], tx_hash: str) -> dict[str, Any]:
    told = {"pool": detail["pool"], "periods": detail["wanted"], "skipped": detail["skipped"]}
    told |= {"until": format_time(detail["until"])} if "until" in detail else {}
    return told | {"paid": format_amount(detail["paid"]), "tx_hash": tx_hash}
