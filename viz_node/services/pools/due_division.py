"""Which division of a pool is due, and what posting it costs; sends no transaction.

Before posting, the operator asks the challenger for statements; so a root without one that the challenger has is wrong.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256
from typing import Any

from viz_node.domain.counting import counted
from viz_node.domain.division import Division, PoolFacts, parse_division, place_of, statement_fault
from viz_node.domain.ids import (
    Account,
    format_coin,
    format_moment,
    format_tokens,
)
from viz_node.domain.pool import (
    MAX_RANGE,
    VETOED,
    Pool,
    PoolRules,
    PostedRoot,
    parse_statement,
)
from viz_node.errors import RefusedError, VizNodeError
from viz_node.ports.money import Finality, Quotes
from viz_node.ports.pools import PoolDivisions
from viz_node.services.pools.pool_desk import STATEMENTS_METHOD, PoolDesk

log = logging.getLogger(__name__)


class DueDivisions:
    """What the operator of a pool has to post now."""

    def __init__(self, desk: PoolDesk, market: PoolDivisions, finality: Finality, account: Account) -> None:
        self._desk = desk
        self._market = market
        self._finality = finality
        self._account = account

    async def find(self, pool: Pool, roots: Sequence[PostedRoot]) -> tuple[int, Division] | None:
        """The last period to divide now, and how; None if no period with fees is over and its grace too."""
        rules, now = await self._desk.rule_book.of(pool), await self._desk.now()
        first = pool.first_allocable(now)
        through = min(pool.period_at(now - rules.grace_seconds) - 1, first + MAX_RANGE - 1)
        facts = await self._desk.facts(pool, first, through)
        if not facts.subscribers:
            return None
        await self._ask_challenger(pool, rules, facts)
        members = await self._desk.refresh_members(pool, rules)
        statements = self._desk.statements(pool, list(facts.subscribers))
        shown = (await self._finality.heads()).shown
        division = await asyncio.to_thread(
            self._desk.signatures.divide, rules, facts, members, statements, max(shown, 1)
        )
        if await asyncio.to_thread(self._is_struck_out, division, roots):
            # Posted again as it is, it would be struck out again, and cost gas each time.
            log.warning("pool %d: its challenger has struck out exactly this division", pool.number)
            return None
        return through, division

    def _is_struck_out(self, division: Division, roots: Sequence[PostedRoot]) -> bool:
        """Whether this was vetoed before, whatever the block at which contract accounts were asked."""
        digest = sha256(division.payload()).digest()
        for root in [root for root in roots if root.state == VETOED]:
            path = self._desk.data.path_of(root.data_digest)
            if root.data_digest == digest:
                return True
            if division.wallets_block and path.exists():
                vetoed = parse_division(path.read_bytes())
                if replace(vetoed, wallets_block=division.wallets_block) == division:
                    return True
        return False

    async def _ask_challenger(self, pool: Pool, rules: PoolRules, facts: PoolFacts) -> None:
        """Take in the statements that only the challenger has, who may be away."""
        question = {"pool": pool.number, "first": min(facts.subscribers), "through": max(facts.subscribers)}
        try:
            rows = await self._desk.rows(rules.challenger_peer, STATEMENTS_METHOD, question)
        except VizNodeError as error:
            log.warning("pool %d: its challenger does not answer: %s", pool.number, error.message)
            return
        known = {place_of(item) for item in self._desk.statements(pool, list(facts.subscribers))}
        for row in rows:
            statement = parse_statement(row, pool.place)
            is_new = place_of(statement) not in known
            if is_new and not await asyncio.to_thread(
                statement_fault, statement, facts, self._desk.signatures.is_signed_now
            ):
                self._desk.keep_statement(pool, statement)

    async def own(self, number: int) -> Pool:
        """A pool that this account runs. Raises: RefusedError, NotFoundError."""
        pool = await self._desk.pool(number)
        if pool.operator != self._account:
            raise RefusedError(f"pool {number} is run by {pool.operator}", "viz-node pool list")
        return pool

    async def roots(self, pool: Pool) -> Sequence[PostedRoot]:
        """All roots that were ever posted, oldest first. Raises: ChainUnavailableError."""
        return await asyncio.to_thread(self._market.posted_roots, pool.number)


class DivisionPlans:
    """What posting it costs and means."""

    def __init__(self, due: DueDivisions, market: PoolDivisions, quotes: Quotes) -> None:
        self._due = due
        self._market = market
        self._quotes = quotes

    async def plan(self, number: int) -> list[dict[str, Any]]:
        """What posting the division that is due costs and means; no row if none is due. Raises: as `divide`."""
        pool = await self._due.own(number)
        due = await self._due.find(pool, await self._due.roots(pool))
        if due is None:
            return []
        through, division = due
        call = self._market.prepare_post_root(number, through, division.totals, bytes(32), "viz-blob:" + 75 * "0")
        gas = format_coin(await self._quotes.quote_wei(call))
        added = sum(division.totals.values())
        until = format_moment(pool.end_of(through))
        what = f"divide {format_tokens(added)}, paid until {until}, among {counted(len(division.totals), 'split')}"
        consequence = "the challenger can strike it out; then splits are credited"
        return [{"what": what, "amount": "", "gas": gas, "consequence": consequence}]
