"""Which division of a pool is due, and what posting it costs; sends no transaction.

Before posting, the operator asks the challenger for statements; so a root without one that the challenger has is wrong.
"""

import asyncio
import logging
from collections.abc import Sequence

from viz_node.domain.counting import counted
from viz_node.domain.decide_pool import (
    DivisionFacts,
    DueDivision,
    decide_division,
    decide_operator,
    due_periods,
    pending_root,
)
from viz_node.domain.decision import NothingToDo, granted
from viz_node.domain.division import Division, PoolFacts, parse_division, place_of, statement_fault
from viz_node.domain.ids import (
    Account,
    format_coin,
    format_moment,
    format_tokens,
)
from viz_node.domain.plan import PlanStep
from viz_node.domain.pool import (
    VETOED,
    Pool,
    PoolRules,
    PostedRoot,
    parse_statement,
)
from viz_node.errors import VizNodeError
from viz_node.ports.money import Finality, Quotes
from viz_node.ports.pools import PoolDivisions
from viz_node.services.pools.pool_desk import STATEMENTS_METHOD, PoolDesk, StatementsQuestion

log = logging.getLogger(__name__)


class DueDivisions:
    """What the operator of a pool has to post now."""

    def __init__(self, desk: PoolDesk, market: PoolDivisions, finality: Finality, account: Account) -> None:
        self._desk = desk
        self._market = market
        self._finality = finality
        self._account = account

    async def decide(self, pool: Pool, roots: Sequence[PostedRoot]) -> DueDivision | NothingToDo:
        """The last period to divide now, and how; nothing if no period with fees is over and its grace too.

        Raises: NotFoundError (the rules), ChainUnavailableError.
        """
        through, division = (0, None) if pending_root(roots) else await self._divide(pool)
        # A contract account may have another answer in another block; only then the data itself is compared.
        has_wallets = division is not None and division.wallets_block > 0
        vetoed = await asyncio.to_thread(self._vetoed, roots, has_wallets)
        decision = decide_division(DivisionFacts(roots, vetoed, through, division))
        if isinstance(decision, NothingToDo) and decision.why:
            log.warning("pool %d: %s", pool.number, decision.why)
        return decision

    async def _divide(self, pool: Pool) -> tuple[int, Division | None]:
        """The last period that a root may cover now, and what is divided; None if nothing was paid."""
        rules = await self._desk.rule_book.of(pool)
        first, through = due_periods(pool, rules.grace_seconds, await self._desk.now())
        facts = await self._desk.facts(pool, first, through)
        if not facts.subscribers:
            return through, None
        await self._ask_challenger(pool, rules, facts)
        members = await self._desk.refresh_members(pool, rules)
        statements = self._desk.statements(pool, list(facts.subscribers))
        shown = (await self._finality.heads()).shown
        division = await asyncio.to_thread(
            self._desk.signatures.divide, rules, facts, members, statements, max(shown, 1)
        )
        return through, division

    def _vetoed(self, roots: Sequence[PostedRoot], with_data: bool) -> dict[bytes, Division | None]:
        """The digests of vetoed roots' data, and the data where it is asked for and here."""
        found: dict[bytes, Division | None] = {}
        for digest in [root.data_digest for root in roots if root.state == VETOED]:
            path = self._desk.data.path_of(digest)
            found[digest] = parse_division(path.read_bytes()) if with_data and path.exists() else None
        return found

    async def _ask_challenger(self, pool: Pool, rules: PoolRules, facts: PoolFacts) -> None:
        """Take in the statements that only the challenger has, who may be away."""
        question = StatementsQuestion(pool.number, first=min(facts.subscribers), through=max(facts.subscribers))
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
        return granted(decide_operator(await self._desk.pool(number), self._account))

    async def roots(self, pool: Pool) -> Sequence[PostedRoot]:
        """All roots that were ever posted, oldest first. Raises: ChainUnavailableError."""
        return await asyncio.to_thread(self._market.posted_roots, pool.number)


class DivisionPlans:
    """What posting it costs and means."""

    def __init__(self, due: DueDivisions, market: PoolDivisions, quotes: Quotes) -> None:
        self._due = due
        self._market = market
        self._quotes = quotes

    async def plan(self, number: int) -> list[PlanStep]:
        """What posting the division that is due costs and means; no row if none is due.

        Raises: NotFoundError, RefusedError, ChainUnavailableError.
        """
        pool = await self._due.own(number)
        due = await self._due.decide(pool, await self._due.roots(pool))
        if isinstance(due, NothingToDo):
            return []
        through, division = due.through, due.division
        call = self._market.prepare_post_root(number, through, division.totals, bytes(32), "viz-blob:" + 75 * "0")
        gas = format_coin(await self._quotes.quote_wei(call))
        added = sum(division.totals.values())
        until = format_moment(pool.end_of(through))
        what = f"divide {format_tokens(added)}, paid until {until}, among {counted(len(division.totals), 'split')}"
        consequence = "the challenger can strike it out; then splits are credited"
        return [PlanStep(what, "", gas, consequence)]
