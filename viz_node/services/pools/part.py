"""The part of catalogue subscriptions, whichever parties of a pool this node is."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from viz_node.domain.decide_pool import AskedPeriods
from viz_node.domain.ids import parse_amount
from viz_node.domain.job import Queued
from viz_node.domain.orders import DivideOrder, OpenPoolOrder, SubscribeOrder
from viz_node.domain.plan import PlanStep
from viz_node.ports.node import AnswerPeer
from viz_node.services.jobs.runner import JobRunner
from viz_node.services.part import Kind, Lane, Part, operations_of
from viz_node.services.pools.credit_pool import Credits
from viz_node.services.pools.due_division import DivisionPlans
from viz_node.services.pools.join_pool import JoinedPool, LeftPool, PoolMembers
from viz_node.services.pools.open_pool import AskedPool, PoolOpeningPlans, PoolOpenings
from viz_node.services.pools.pool_desk import (
    JOIN_METHOD,
    MEMBERS_METHOD,
    STATEMENTS_METHOD,
    USES_METHOD,
    PoolDesk,
    for_each,
)
from viz_node.services.pools.rule_book import RULES_METHOD
from viz_node.services.pools.run_pool import PoolOperator, WatchedPool
from viz_node.services.pools.show_pools import PoolDetails, PoolView, ShownPool, WrittenData
from viz_node.services.pools.state_uses import UseStatements
from viz_node.services.pools.subscribe_pool import PeriodChoice, SubscriptionPlans, Subscriptions
from viz_node.services.pools.use_pool import PoolUses


@dataclass(frozen=True)
class Pools:
    """The parties that a node may be, and everybody's view."""

    desk: PoolDesk
    openings: PoolOpenings
    opening_plans: PoolOpeningPlans
    operator: PoolOperator
    division_plans: DivisionPlans
    members: PoolMembers
    credits: Credits
    choice: PeriodChoice
    subscription_plans: SubscriptionPlans
    subscriptions: Subscriptions
    uses: PoolUses
    statements: UseStatements
    view: PoolView

    def kinds(self) -> tuple[Kind[Any], ...]:
        """What carries out the orders of people, by kind of job."""
        return (
            Kind(OpenPoolOrder, Lane.MARKET, self.openings.create),
            Kind(DivideOrder, Lane.MARKET, self.operator.divide),
            Kind(SubscribeOrder, Lane.MARKET, self.subscriptions.subscribe),
        )

    def answers(self) -> dict[str, AnswerPeer]:
        """What answers the questions of peers, by method."""
        return {
            RULES_METHOD: self.desk.rule_book.on_rules,
            MEMBERS_METHOD: self.desk.on_members,
            JOIN_METHOD: self.operator.on_join,
            USES_METHOD: self.operator.on_uses,
            STATEMENTS_METHOD: self.operator.on_statements,
        }

    async def watch(self) -> None:
        """One step of every party. Raises: VizNodeError."""
        parties = self.statements.watch, self.members.watch, self.credits.watch, self.operator.watch
        await for_each(parties, lambda watch: watch())


def pools_part(pools: Pools, jobs: JobRunner) -> Part:
    """Creation, division and subscription are jobs; joining and leaving are statements to the operator."""
    return Part(
        operations_of(PoolOperations(pools, jobs)),
        answers=pools.answers(),
        watchers=(pools.watch,),
        kinds=pools.kinds(),
    )


class PoolOperations:
    """What operators, members and subscribers ask of pools."""

    def __init__(self, pools: Pools, jobs: JobRunner) -> None:
        self._pools, self._jobs = pools, jobs

    async def pool_list(self) -> list[ShownPool]:
        """All catalogue subscriptions of the market."""
        return await self._pools.view.rows()

    async def pool_show(self, *, pool: int) -> PoolDetails:
        """One pool with its adapters and roots."""
        return await self._pools.view.show(pool)

    async def pool_create(self, asked: AskedPool) -> Queued:
        """Open a pool."""
        return self._jobs.accept(self._pools.opening_plans.check(asked))

    async def plan_pool_create(self, asked: AskedPool) -> list[PlanStep]:
        """What opening a pool costs and means."""
        return await self._pools.opening_plans.plan(asked)

    async def pool_join(self, *, pool: int, adapter: str) -> JoinedPool:
        """Give an adapter to a pool's subscribers."""
        return await self._pools.members.join(pool, adapter)

    async def pool_watch(self, *, pool: int, wanted: bool = True) -> WatchedPool:
        """Be a pool's challenger, or no more."""
        return await self._pools.operator.set_watched(pool, wanted)

    async def pool_leave(self, *, pool: int, adapter: str) -> LeftPool:
        """Give it to no more subscribers."""
        return await self._pools.members.leave(pool, adapter)

    async def pool_subscribe(self, *, pool: int, max_price: str, periods: int = 1) -> Queued:
        """Pay the next periods of a pool."""
        asked = AskedPeriods(periods, parse_amount(max_price))
        return self._jobs.accept(await self._pools.choice.order(pool, asked))

    async def plan_pool_subscribe(self, *, pool: int, max_price: str, periods: int = 1) -> list[PlanStep]:
        """What subscribing costs and means."""
        return await self._pools.subscription_plans.plan(pool, AskedPeriods(periods, parse_amount(max_price)))

    async def pool_divide(self, *, pool: int) -> Queued:
        """Post the division that is due."""
        return self._jobs.accept(DivideOrder(pool))

    async def plan_pool_divide(self, *, pool: int) -> list[PlanStep]:
        """What is due, and what posting it costs."""
        return await self._pools.division_plans.plan(pool)

    async def pool_data(self, *, pool: int, directory: str) -> WrittenData:
        """Write the data behind a pool's roots."""
        return await self._pools.view.export(pool, Path(directory))
