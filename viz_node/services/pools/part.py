"""The part of catalogue subscriptions, whichever parties of a pool this node is."""

from pathlib import Path

from viz_node.domain.ids import parse_amount
from viz_node.services.jobs.runner import JobRunner
from viz_node.services.part import Answer, Lane, Part, Rows, on_lane, operations_of
from viz_node.services.pools.open_pool import AskedPool
from viz_node.services.pools.show_pools import Pools


def pools_part(pools: Pools, jobs: JobRunner) -> Part:
    """Creation, division and subscription are jobs; joining and leaving are statements to the operator."""
    handlers = on_lane(Lane.MARKET, pools.handlers())
    return Part(operations_of(PoolOperations(pools, jobs)), handlers, pools.answers(), (pools.watch,))


class PoolOperations:
    """What operators, members and subscribers ask of pools."""

    def __init__(self, pools: Pools, jobs: JobRunner) -> None:
        self._pools, self._jobs = pools, jobs

    async def pool_list(self) -> Rows:
        """All catalogue subscriptions of the market."""
        return await self._pools.view.rows()

    async def pool_show(self, *, pool: int) -> Answer:
        """One pool with its adapters and roots."""
        return await self._pools.view.show(pool)

    async def pool_create(
        self, *, name: str, fee: str, challenger: str, days: int = 30, rule: str = "user-centric",
        share: str = "70", grace_hours: int = 24,
    ) -> Answer:  # fmt: skip
        """Open a pool."""
        asked = AskedPool(name, parse_amount(fee), days, challenger, rule, share, grace_hours)
        return self._jobs.order("pool", self._pools.opening_plans.check(asked))

    async def plan_pool_create(
        self, *, name: str, fee: str, challenger: str, days: int = 30, rule: str = "user-centric",
        share: str = "70", grace_hours: int = 24,
    ) -> Rows:  # fmt: skip
        """What opening a pool costs and means."""
        asked = AskedPool(name, parse_amount(fee), days, challenger, rule, share, grace_hours)
        return await self._pools.opening_plans.plan(asked)

    async def pool_join(self, *, pool: int, adapter: str) -> Answer:
        """Give an adapter to a pool's subscribers."""
        return await self._pools.members.join(pool, adapter)

    async def pool_watch(self, *, pool: int, wanted: bool = True) -> Answer:
        """Be a pool's challenger, or no more."""
        return await self._pools.operator.set_watched(pool, wanted)

    async def pool_leave(self, *, pool: int, adapter: str) -> Answer:
        """Give it to no more subscribers."""
        return await self._pools.members.leave(pool, adapter)

    async def pool_subscribe(self, *, pool: int, max_price: str, periods: int = 1) -> Answer:
        """Pay the next periods of a pool."""
        order = await self._pools.choice.order(pool, periods, parse_amount(max_price))
        return self._jobs.order("subscribe", order)

    async def plan_pool_subscribe(self, *, pool: int, max_price: str, periods: int = 1) -> Rows:
        """What subscribing costs and means."""
        return await self._pools.subscription_plans.plan(pool, periods, parse_amount(max_price))

    async def pool_divide(self, *, pool: int) -> Answer:
        """Post the division that is due."""
        return self._jobs.order("divide", {"pool": pool})

    async def plan_pool_divide(self, *, pool: int) -> Rows:
        """What is due, and what posting it costs."""
        return await self._pools.division_plans.plan(pool)

    async def pool_data(self, *, pool: int, directory: str) -> Answer:
        """Write the data behind a pool's roots."""
        return await self._pools.view.export(pool, Path(directory))
