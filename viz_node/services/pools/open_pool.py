"""Open a pool: its rules, its reserve's split, and what that costs."""

import asyncio
from dataclasses import dataclass, replace

from viz_node.domain.distribution import PoolRule
from viz_node.domain.ids import (
    WHOLE,
    Account,
    BasisPoints,
    format_coin,
    format_span,
    format_tokens,
    parse_account,
    parse_amount,
    parse_peer_id,
)
from viz_node.domain.job import Job, JobStep
from viz_node.domain.limits import POOL_DAYS
from viz_node.domain.orders import OpenPoolOrder
from viz_node.domain.plan import PlanStep
from viz_node.domain.pool import (
    PoolRules,
    check_rules,
    parse_rules,
)
from viz_node.domain.purposes import Purpose
from viz_node.domain.royalty import RoyaltySplit, parse_percent, split_from_shares, with_platform
from viz_node.domain.terms import DAY_SECONDS
from viz_node.domain.transaction import Call
from viz_node.errors import NotFoundError, UsageError
from viz_node.ports.money import Quotes, Spending
from viz_node.ports.pools import PoolOpening
from viz_node.services.part import Report
from viz_node.services.pools.pool_desk import PoolDesk


@dataclass(frozen=True)
class AskedPool:
    """The terms of a new pool as people give them: `fee` in tokens, `challenger` ACCOUNT@PEER, `share` in percent."""

    name: str
    fee: str
    challenger: str
    days: int = 30
    rule: str = "user-centric"
    share: str = "70"
    grace_hours: int = 24


@dataclass(frozen=True)
class OpenedPool:
    """A pool that was opened; None if a reorganisation has taken it back."""

    pool: int | None
    tx_hash: str


class PoolOpeningPlans:
    """Orders for new pools, and what they cost and mean."""

    def __init__(self, desk: PoolDesk, market: PoolOpening, quotes: Quotes, account: Account) -> None:
        self._desk = desk
        self._market = market
        self._quotes = quotes
        self._account = account

    def check(self, asked: AskedPool) -> OpenPoolOrder:
        """The order for a new pool. Raises: UsageError, InvalidSplitError."""
        fee = parse_amount(asked.fee)
        name, _, peer_id = asked.challenger.partition("@")
        challenger = parse_account(name)
        if not peer_id or challenger == self._account:
            raise UsageError(
                "a pool needs a challenger on another node", "--challenger ACCOUNT@PEER; see `viz-node id`"
            )
        POOL_DAYS.check(asked.days)
        if fee < 1:
            raise UsageError("a pool has a fee", "--fee 9.99")
        rules = PoolRules(
            name=asked.name,
            rule=_rule_of(asked.rule),
            adapters_share=parse_percent(asked.share),
            reserve_split=1,  # known when the job has found or made it
            operator_peer=self._desk.peer_id,
            challenger_peer=parse_peer_id(peer_id),
            grace_seconds=asked.grace_hours * 3600,
            created=self._desk.clock(),
        )
        parse_rules(check_rules(rules).payload())
        return OpenPoolOrder(asked.name, rules.payload().decode(), fee, asked.days * DAY_SECONDS, challenger)

    async def plan(self, asked: AskedPool) -> list[PlanStep]:
        """What opening costs and means. Raises: UsageError, InvalidSplitError, ChainUnavailableError."""
        order = self.check(asked)
        split, market = await asyncio.to_thread(_reserve, self._market, self._account), self._market
        call = _create_call(self._market, order, parse_rules(order.rules.encode()))
        wei = await self._quotes.quote_wei(call)
        if await asyncio.to_thread(market.find_split, split) is None:
            wei += await self._quotes.quote_wei(market.prepare_split(split))
        consequence = "its fee, period, rule and challenger never change; you divide each period, or it is refunded"
        what = f"open pool {asked.name}: {format_tokens(order.fee)} per {format_span(order.period_seconds)}"
        return [PlanStep(what, "", format_coin(wei), consequence)]


class PoolOpenings:
    """Opens pools whose reserve goes to this account."""

    def __init__(self, desk: PoolDesk, market: PoolOpening, treasury: Spending, account: Account) -> None:
        self._desk = desk
        self._market = market
        self._treasury = treasury
        self._account = account

    async def create(self, job: Job[OpenPoolOrder], report: Report) -> OpenedPool:
        """Job: open a pool whose reserve goes to this account; repeated after a crash it opens one."""
        market, treasury = self._market, self._treasury
        split = await asyncio.to_thread(_reserve, self._market, self._account)
        purpose = Purpose("pool", job.job_id)
        report(JobStep("reserve", 1, 2))
        number = await asyncio.to_thread(market.find_split, split)
        if number is None:
            await treasury.execute(f"pool-split:{job.job_id}", lambda: market.prepare_split(split), purpose)
            number = await asyncio.to_thread(market.find_split, split)
        if number is None:
            raise NotFoundError("the reserve's split is no longer on the chain", "viz-node jobs resume JOB")
        asked = parse_rules(job.order.rules.encode())
        rules = replace(asked, reserve_split=number)
        self._desk.rule_book.keep(rules)
        report(JobStep("open", 2, 2))
        call = _create_call(self._market, job.order, rules)
        tx_hash = await treasury.execute(f"pool:{job.job_id}", lambda: call, purpose)
        await self._desk.rule_book.provide(rules)
        pools = await asyncio.to_thread(market.pools_of, self._account)
        numbers = [pool.number for pool in pools if pool.rules == rules.digest()]
        return OpenedPool(max(numbers, default=None), tx_hash)


def _create_call(market: PoolOpening, order: OpenPoolOrder, rules: PoolRules) -> Call:
    return market.prepare_create_pool(order.challenger, order.fee, order.period_seconds, rules.digest())


def _reserve(market: PoolOpening, account: Account) -> RoyaltySplit:
    facts = market.facts()
    own = split_from_shares({account: BasisPoints(WHOLE)})
    return with_platform(own, facts.platform, facts.platform_fee)


def _rule_of(text: str) -> PoolRule:
    try:
        return PoolRule(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is not a rule of division", "--rule user-centric") from error
