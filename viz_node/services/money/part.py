"""The money's part: what this account earns, and what the market may take from it."""

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TypeVar

from viz_node.domain.job import Queued
from viz_node.domain.orders import ClaimOrder, RevokeOrder
from viz_node.domain.plan import PurchaseStep, gas_only
from viz_node.domain.statement import parse_period
from viz_node.services.jobs.runner import JobRunner
from viz_node.services.money.allow_market import AllowancePlans, Allowances, ShownAllowance
from viz_node.services.money.pay_price import Payments
from viz_node.services.money.settle_royalties import Royalties, RoyaltyPlans, ShownMovement, ShownRoyalties, ShownSplit
from viz_node.services.money.transact import Treasury
from viz_node.services.part import Kind, Lane, Part, operations_of

Row = TypeVar("Row", ShownSplit, ShownMovement)
NamesOf = Callable[[Collection[int]], Mapping[int, str]]


class MoneyOperations:
    """What people ask of their money; `names_of` gives the names of adapters by their numbers, where known."""

    def __init__(self, money: "Money", jobs: JobRunner, names_of: NamesOf, is_test_gas: bool, market: str) -> None:
        self._royalties, self._allowances, self._jobs = money.royalties, money.allowances, jobs
        self._royalty_plans, self._allowance_plans = money.royalty_plans, money.allowance_plans
        self._names_of, self._is_test_gas, self._market = names_of, is_test_gas, market

    async def royalties(self) -> ShownRoyalties:
        """Earnings of this account."""
        shown = await self._royalties.show()
        names = await self._names({sale.adapter for sale in shown.sales}, shown.rows)
        sales = [replace(sale, name=names.get(sale.adapter, "")) for sale in shown.sales]
        return replace(shown, sales=sales, rows=[_named(row, names) for row in shown.rows])

    async def royalties_statement(self, *, period: str | None = None) -> list[ShownMovement]:
        """Every sale, share and claim, by ledger entry."""
        lines = await self._royalties.statement(None if period is None else parse_period(period))
        names = await self._names(set(), lines)
        return [_named(line, names) for line in lines]

    async def royalties_claim(self) -> Queued:
        """Take what is due."""
        return self._jobs.accept(ClaimOrder())

    async def plan_claim(self) -> list[PurchaseStep]:
        """What claiming brings and costs."""
        return gas_only(await self._royalty_plans.claim(), self._is_test_gas)

    async def allowance(self) -> ShownAllowance:
        """What the market may take from this account."""
        return replace(await self._allowances.show(), market=self._market)

    async def plan_allowance_revoke(self) -> list[PurchaseStep]:
        """What taking it back costs and means."""
        return gas_only(await self._allowance_plans.revocation(), self._is_test_gas)

    async def allowance_revoke(self) -> Queued:
        """Take it back."""
        return self._jobs.accept(RevokeOrder())

    async def _names(self, numbers: set[int], rows: Iterable[ShownSplit | ShownMovement]) -> Mapping[int, str]:
        asked = numbers | {int(number) for row in rows for number in row.adapters}
        return await asyncio.to_thread(self._names_of, asked)


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
        claim = Kind(ClaimOrder, Lane.MARKET, self.royalties.claim)
        return Part(operations_of(operations), kinds=(claim, Kind(RevokeOrder, Lane.MARKET, self.allowances.revoke)))


def _named(row: Row, names: Mapping[int, str]) -> Row:
    """The row with the names of the adapters that are paid into its split; a number where no name is known."""
    return replace(row, adapters=[names.get(int(number), f"#{number}") for number in row.adapters])
