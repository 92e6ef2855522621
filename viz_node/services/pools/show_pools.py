"""Catalogue subscriptions as people see them: what pools there are, what they hold, and what this node is in them."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from viz_node.domain.division import Division
from viz_node.domain.ids import Account, format_amount, format_time
from viz_node.domain.pool import ADOPTED, PENDING, Pool, PoolMember, PostedRoot
from viz_node.domain.terms import DAY_SECONDS
from viz_node.errors import ChainUnavailableError, NotFoundError, StorageError, VizNodeError, already_there
from viz_node.ports.pools import PoolTables
from viz_node.services.pools.credit_pool import Credits
from viz_node.services.pools.due_division import DivisionPlans
from viz_node.services.pools.join_pool import PoolMembers
from viz_node.services.pools.open_pool import PoolOpeningPlans, PoolOpenings
from viz_node.services.pools.pool_desk import (
    JOIN_METHOD,
    MEMBERS_METHOD,
    STATEMENTS_METHOD,
    USES_METHOD,
    PoolDesk,
    for_each,
)
from viz_node.services.pools.rule_book import RULES_METHOD
from viz_node.services.pools.run_pool import PoolOperator
from viz_node.services.pools.state_uses import UseStatements
from viz_node.services.pools.subscribe_pool import PeriodChoice, SubscriptionPlans, Subscriptions
from viz_node.services.pools.use_pool import PoolUses


class PoolView:
    """What pools there are, and what this node is in them."""

    def __init__(
        self,
        desk: PoolDesk,
        market: PoolTables,
        uses: PoolUses,
        account: Account,
        is_watched: Callable[[int], bool],
        name_of: Callable[[int], str],
    ) -> None:
        self._desk = desk
        self._market = market
        self._uses = uses
        self._account = account
        self._is_watched = is_watched
        self._name_of = name_of

    async def rows(self) -> list[dict[str, Any]]:
        """All pools of the market. Raises: ChainUnavailableError."""
        market, account = self._market, self._account
        now, paid = await self._desk.now(), await asyncio.to_thread(market.subscriptions_of, account)
        pools = await asyncio.to_thread(market.pools)
        await self._desk.rule_book.ask_for(pools)
        divided = await asyncio.to_thread(market.divided)
        return [self._row(pool, now, paid.get(pool.number, []), divided.get(pool.number, 0)) for pool in pools]

    async def show(self, number: int) -> dict[str, Any]:
        """One pool: rules, adapters, roots, and this node's own uses. Raises: NotFoundError."""
        pool, now = await self._desk.pool(number), await self._desk.now()
        paid = await asyncio.to_thread(self._market.subscriptions_of, self._account)
        rules = await self._desk.rule_book.of(pool)
        divided = (await asyncio.to_thread(self._market.divided)).get(number, 0)
        row = self._row(pool, now, paid.get(number, []), divided)
        members = await self._desk.refresh_members(pool, rules)
        roots = await asyncio.to_thread(self._market.posted_roots, number)
        current = pool.period_at(now)
        uses = await self._uses.uses(pool, current) if current in paid.get(number, []) else {}
        return row | {
            "reserve_split": rules.reserve_split,
            "operator_peer": rules.operator_peer,
            "challenger_peer": rules.challenger_peer,
            "grace_hours": rules.grace_seconds / 3600,
            "members": [self._member_row(member, uses.get(member.adapter, 0)) for member in members],
            "roots": [await self._root_row(pool, root) for root in roots],
        }

    async def export(self, number: int, directory: Path) -> dict[str, Any]:
        """Write the data behind every root that can be had, for auditors. Raises: NotFoundError, StorageError."""
        pool = await self._desk.pool(number)
        roots = await asyncio.to_thread(self._market.posted_roots, number)
        if not roots:
            raise NotFoundError(f"no root of pool {number} was posted yet", f"viz-node pool show {number}")
        written, missing = [], []
        for root in roots:
            try:
                raw = (await self._desk.data.division(pool, root)).payload()
            except ChainUnavailableError:
                raise
            except VizNodeError:
                missing.append(root.data_digest.hex())
                continue
            written.append(await asyncio.to_thread(_write_new, directory, root.data_digest.hex(), raw))
        return {"pool": number, "directory": str(directory), "files": written, "missing": missing}

    def _row(self, pool: Pool, now: int, paid: Sequence[int], divided: int) -> dict[str, Any]:
        account, current = self._account, pool.period_at(now)
        duty = "challenger" if self._is_watched(pool.number) else "asked to watch"
        roles = [role for role, holder in (("operator", pool.operator), (duty, pool.challenger)) if holder == account]
        row: dict[str, Any] = {
            "pool": pool.number,
            "name": "",
            "fee": format_amount(pool.fee),
            "days": pool.period_seconds / DAY_SECONDS,
            "rule": "",
            "adapters_share": "",
            "period": current,
            "period_ends": format_time(pool.end_of(current)),
            "paid_periods": [period for period in paid if period >= current],
            "roles": roles + (["subscriber"] if current in paid else []),
            "divided": format_amount(divided),
            "operator": pool.operator,
            "challenger": pool.challenger,
        }
        rules = self._desk.rule_book.known(pool)
        if rules is None:
            return row | {"error": f"no peer has told the rules of pool {pool.number}"}
        return row | {"name": rules.name, "rule": str(rules.rule), "adapters_share": f"{rules.adapters_share / 100:g}"}

    def _member_row(self, member: PoolMember, uses: int) -> dict[str, Any]:
        name = self._name_of(member.adapter)
        return {"adapter": member.adapter, "name": name, "account": member.account, "split": member.split_id,
                "my_uses": uses}  # fmt: skip

    async def _root_row(self, pool: Pool, root: PostedRoot) -> dict[str, Any]:
        row = {
            "periods": f"{root.first} to {root.through}",
            "fees": format_amount(root.amount),
            "state": root.state,
            "adoptable_at": format_time(root.adoptable_at),
            "claims_end": format_time(root.until) if root.until else "",
            "data": root.data_digest.hex(),
        }
        if root.state not in (PENDING, ADOPTED) or not self._desk.data.has(root):
            return row
        division = await self._desk.data.division(pool, root)
        return row | {"given": [_given(division, split) for split in division.totals]}


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

    def handlers(self) -> dict[str, Any]:
        """What carries out the orders of people, by kind of job."""
        return {
            "pool": self.openings.create,
            "divide": self.operator.divide,
            "subscribe": self.subscriptions.subscribe,
        }

    def answers(self) -> dict[str, Any]:
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


def _given(division: Division, split: int) -> dict[str, Any]:
    units = division.totals[split]
    what = "reserve" if split == division.rules.reserve_split else "adapters"
    return {"split": split, "units": format_amount(units), "what": what}


def _write_new(directory: Path, name: str, raw: bytes) -> str:
    path = directory / f"{name}.json"
    try:
        directory.mkdir(parents=True, exist_ok=True)
        if path.exists() and path.read_bytes() != raw:
            raise already_there(path, "it holds something else; choose another --out DIRECTORY")
        path.write_bytes(raw)
    except OSError as error:
        raise StorageError(f"cannot write {path}: {error.strerror}", "choose another --out DIRECTORY") from error
    return str(path)
