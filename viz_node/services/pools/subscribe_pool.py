"""Pay periods of a pool: which ones, for how much, and the payment, once."""

import asyncio
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass

from viz_node.domain.answer import UNSET, UnsetType
from viz_node.domain.counting import counted
from viz_node.domain.decide_pool import AskedPeriods, Subscribing, SubscriptionFacts, decide_subscription
from viz_node.domain.decision import granted
from viz_node.domain.ids import Account, TokenAmount, format_amount, format_coin, format_moment, format_time
from viz_node.domain.job import Job, JobStep
from viz_node.domain.orders import SubscribeOrder
from viz_node.domain.plan import PlanStep
from viz_node.domain.pool import Pool
from viz_node.domain.purposes import SubscribePool, purpose_as
from viz_node.domain.transaction import Call
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

    async def order(self, number: int, asked: AskedPeriods) -> SubscribeOrder:
        """The order for a job, bound to the pool that has the number now. Raises: NotFoundError."""
        terms = (await self._desk.pool(number)).terms.hex()
        return SubscribeOrder(number, asked.periods, asked.limit, terms)

    def call(self, pool: Pool, wanted: Sequence[int], reference: bytes) -> Call:
        """What pays these periods."""
        prepare = self._market.prepare_subscribe
        return prepare(pool.number, pool.terms, self._account, wanted, reference)

    async def decide(self, number: int, asked: AskedPeriods) -> tuple[Pool, Subscribing]:
        """The pool, and the periods to pay; its rules are here.

        Raises: NotFoundError, RefusedError, UsageError, PriceAboveLimitError.
        """
        pool = await self._desk.pool(number)
        await self._desk.rule_book.of(pool)
        found = await asyncio.to_thread(self._market.subscriptions_of, self._account)
        facts = SubscriptionFacts(pool, pool.period_at(await self._desk.now()), frozenset(found.get(number, ())))
        return pool, granted(decide_subscription(facts, asked))


class SubscriptionPlans:
    """What subscribing costs and means."""

    def __init__(self, desk: PoolDesk, choice: PeriodChoice, quotes: PaymentQuotes) -> None:
        self._desk = desk
        self._choice = choice
        self._quotes = quotes

    async def plan(self, number: int, asked: AskedPeriods) -> list[PlanStep]:
        """What subscribing costs and means.

        Raises: NotFoundError, ChainUnavailableError, and the refusals of `decide_subscription`.
        """
        pool, paying = await self._choice.decide(number, asked)
        rules = await self._desk.rule_book.of(pool)
        quote = await self._quotes.quote(paying.fee, lambda: self._choice.call(pool, paying.wanted, bytes(32)))
        members = await self._desk.refresh_members(pool, rules)
        consequence = (
            f"{counted(len(members), 'adapter')} to fetch while it runs; "
            f"{rules.adapters_share / 100:g} % go to what you use, "
            "which your node states, signed, when a period is over"
        )
        gas = format_coin(quote.approval_wei + quote.call_wei)
        return [PlanStep(_told(pool, rules.name, paying), format_amount(paying.fee), gas, consequence)]


def _told(pool: Pool, name: str, paying: Subscribing) -> str:
    first, last = paying.wanted[0], max((*paying.wanted, *paying.skipped))
    what = f"subscribe to {name} (pool {pool.number}), period #{first}"
    what += f" to #{last}" if last > first else ""
    skipped = ", ".join(f"#{period}" for period in paying.skipped)
    what += f", without {skipped}, paid already" if skipped else ""
    return f"{what}, until {format_moment(pool.end_of(last))}"


@dataclass(frozen=True)
class Subscribed:
    """The periods that were paid, those between them that were paid before, and what it cost."""

    pool: int
    periods: list[int]
    skipped: list[int]
    until: str | UnsetType
    paid: str
    tx_hash: str


class Subscriptions:
    """Pays periods of pools."""

    def __init__(self, desk: PoolDesk, outbox: Outbox, choice: PeriodChoice, payments: Payments) -> None:
        self._desk = desk
        self._outbox = outbox
        self._choice = choice
        self._payments = payments

    async def subscribe(self, job: Job[SubscribeOrder], report: Report) -> Subscribed:
        """Job: pay the next periods, once. Raises: PriceAboveLimitError, UsageError, and as a transaction does."""
        order, order_id = job.order, f"subscribe:{job.job_id}"
        paid = await self._payments.finish(order_id)
        if paid is not None:
            return _subscribed(purpose_as(paid.purpose, SubscribePool), paid.tx_hash)
        asked = AskedPeriods(order.periods, order.max_price, order.terms)
        pool, paying = await self._choice.decide(order.pool, asked)
        failed = entry_of(self._outbox, order_id)
        if failed is not None:  # the same periods again, so that the contract refuses what was paid after all
            before = purpose_as(failed.purpose, SubscribePool)
            paying = Subscribing(before.wanted, before.skipped, TokenAmount(pool.fee * len(before.wanted)))
        report(JobStep("subscribe", 1, 1))
        call = self._choice.call(pool, paying.wanted, hashlib.sha256(job.job_id.encode()).digest())
        purpose = SubscribePool(
            "subscribe",
            job.job_id,
            pool=pool.number,
            wanted=paying.wanted,
            skipped=paying.skipped,
            paid=paying.fee,
            until=pool.end_of(paying.wanted[-1]),
        )
        return _subscribed(purpose, await self._payments.execute(order_id, paying.fee, lambda: call, purpose))


def _subscribed(purpose: SubscribePool, tx_hash: str) -> Subscribed:
    """As the transaction's purpose tells it, which in earlier versions had no `until`."""
    return Subscribed(
        pool=purpose.pool,
        periods=list(purpose.wanted),
        skipped=list(purpose.skipped),
        until=UNSET if purpose.until is None else format_time(purpose.until),
        paid=format_amount(TokenAmount(purpose.paid)),
        tx_hash=tx_hash,
    )
