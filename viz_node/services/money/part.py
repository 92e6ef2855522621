"""The money's part: what this account earns, and what the market may take from it."""

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

from viz_node.domain.statement import parse_period
from viz_node.services.jobs.runner import JobRunner
from viz_node.services.money.allow_market import AllowancePlans, Allowances
from viz_node.services.money.pay_price import Payments
from viz_node.services.money.settle_royalties import Royalties, RoyaltyPlans
from viz_node.services.money.transact import Treasury
from viz_node.services.part import Answer, Lane, Part, Rows, on_lane, operations_of

NamesOf = Callable[[Collection[int]], Mapping[int, str]]


class MoneyOperations:
    """What people ask of their money; `names_of` gives the names of adapters by their numbers, where known."""

    def __init__(self, money: "Money", jobs: JobRunner, names_of: NamesOf, is_test_gas: bool, market: str) -> None:
        self._royalties, self._allowances, self._jobs = money.royalties, money.allowances, jobs
        self._royalty_plans, self._allowance_plans = money.royalty_plans, money.allowance_plans
        self._names_of, self._is_test_gas, self._market = names_of, is_test_gas, market

    async def royalties(self) -> Answer:
        """What this account earns."""
        answer = await self._royalties.show()
        names = await asyncio.to_thread(self._names_of, {sale["adapter"] for sale in answer["sales"]})
        sales = [sale | {"name": names.get(sale["adapter"], "")} for sale in answer["sales"]]
        return answer | {"sales": sales, "rows": await self._with_names(answer["rows"])}

    async def royalties_statement(self, *, period: str | None = None) -> Rows:
        """Every sale, share and claim, by ledger entry."""
        lines = await self._royalties.statement(None if period is None else parse_period(period))
        return await self._with_names(lines)

    async def royalties_claim(self) -> Answer:
        """Take what is due."""
        return self._jobs.order("claim", {"name": "royalties"})

    async def plan_claim(self) -> Rows:
        """What claiming brings and costs."""
        return gas_only(await self._royalty_plans.claim(), self._is_test_gas)

    async def allowance(self) -> Answer:
        """What the market may take from this account."""
        return await self._allowances.show() | {"market": self._market}

    async def plan_allowance_revoke(self) -> Rows:
        """What taking it back costs and means."""
        return gas_only(await self._allowance_plans.revocation(), self._is_test_gas)

    async def allowance_revoke(self) -> Answer:
        """Take it back."""
        return self._jobs.order("revoke", {"name": "allowance"})

    async def _with_names(self, rows: Rows) -> Rows:
        """Rows of splits with the names of the adapters that are paid into them; a number where no name is known."""
        names = await asyncio.to_thread(self._names_of, {number for row in rows for number in row["adapters"]})
        return [row | {"adapters": [names.get(n, f"#{n}") for n in row["adapters"]]} for row in rows]


@dataclass(frozen=True)
class Money:
    """The use cases of this stage."""

    treasury: Treasury
    payments: Payments
    royalties: Royalties
    royalty_plans: RoyaltyPlans
    allowances: Allowances
    allowance_plans: AllowancePlans

    def part(self, operations: MoneyOperations) -> Part:
        """Claims and revocations are jobs."""
        handlers = {"claim": self.royalties.claim, "revoke": self.allowances.revoke}
        return Part(operations_of(operations), on_lane(Lane.MARKET, handlers))


def gas_only(plan: Rows, is_test_gas: bool) -> Rows:
    """The plan of what costs gas alone; on a development chain that is nothing."""
    return [row | {"is_test_gas": is_test_gas} for row in plan]
