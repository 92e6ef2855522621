"""Run and watch pools: the operator divides what periods brought, the challenger strikes out what is wrong.

Neither keeps a table of what is due: `watch` reads it from the chain, and every transaction has an order id that counts
the roots posted before it, so that a look that was killed is simply repeated.
"""

import asyncio
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from viz_node.domain.decide_pool import Duty, decide_duty, pending_root
from viz_node.domain.decision import NothingToDo
from viz_node.domain.division import faults_of, place_of, statement_fault
from viz_node.domain.ids import (
    Account,
    PeerId,
)
from viz_node.domain.job import Job, JobStep
from viz_node.domain.orders import DivideOrder
from viz_node.domain.pool import (
    MAX_RANGE,
    Pool,
    PostedRoot,
    UseStatement,
    parse_row,
    parse_statement,
)
from viz_node.domain.pool_records import CHECKED, WATCHED, CheckedRecord, WatchedRecord
from viz_node.domain.purposes import Purpose
from viz_node.domain.transaction import Call
from viz_node.errors import NotFoundError, RefusedError, TransactionRevertedError, VizNodeError
from viz_node.ports.money import SafeSpending
from viz_node.ports.pools import PoolDivisions
from viz_node.ports.state import PoolRecords
from viz_node.services.part import Report
from viz_node.services.pools.due_division import DueDivisions
from viz_node.services.pools.pool_desk import PoolDesk, for_each, page_of

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WatchedPool:
    """Whether this node is the challenger of a pool from now on."""

    pool: int
    watched: bool


@dataclass(frozen=True)
class PostedDivision:
    """A root that was posted over the periods up to `through`, and its data; no transaction if another was faster."""

    pool: int
    through: int
    data: str
    tx_hash: str | None


class PoolOperator:
    """Pools that this node runs or watches."""

    def __init__(
        self,
        desk: PoolDesk,
        records: PoolRecords,
        due: DueDivisions,
        market: PoolDivisions,
        treasury: SafeSpending,
        account: Account,
    ) -> None:
        self._desk = desk
        self._records = records
        self._due = due
        self._market = market
        self._treasury = treasury
        self._account = account
        self._window = 0

    # Watching one.

    async def set_watched(self, number: int, wanted: bool) -> WatchedPool:
        """Be the challenger of a pool from now on, or no more; who opens a pool may name anybody.

        Raises: NotFoundError, RefusedError (it names another account or node).
        """
        pool, key = await self._desk.pool(number), f"{WATCHED}{number}"
        if pool.challenger != self._account:
            raise RefusedError(f"the challenger of pool {number} is {pool.challenger}", "viz-node pool list")
        if wanted:
            peer_id = (await self._desk.rule_book.of(pool)).challenger_peer
            if peer_id != self._desk.peer_id:
                raise RefusedError(f"statements of pool {number} go to another node, {peer_id}", "watch it there")
            self._records.save_pool_record(key, WatchedRecord())
        else:
            self._records.remove_pool_record(key)
        return WatchedPool(number, wanted)

    def is_watched(self, number: int) -> bool:
        """Whether this node is the challenger of the pool, and has said that it wants to be."""
        return self._records.find_pool_record(f"{WATCHED}{number}", WatchedRecord) is not None

    # What others send.

    async def on_join(self, peer_id: PeerId, payload: bytes) -> bytes:
        """An owner's membership for a pool of this node."""
        body = parse_row(payload)
        await self._desk.take_member(await self._responsible(body.get("pool")), body.get("row"))
        return b"{}"

    async def on_uses(self, peer_id: PeerId, payload: bytes) -> bytes:
        """A subscriber's statement for a pool of this node, until its period is divided."""
        body = parse_row(payload)
        pool = await self._responsible(body.get("pool"))
        statement = parse_statement(body.get("row"), pool.place)
        await self._check_time(pool, statement)
        facts = await self._desk.facts(pool, statement.period, statement.period)
        fault = await asyncio.to_thread(statement_fault, statement, facts, self._desk.signatures.is_signed_now)
        if fault:
            raise RefusedError(fault)
        self._desk.keep_statement(pool, statement)
        return b"{}"

    async def on_statements(self, peer_id: PeerId, payload: bytes) -> bytes:
        """The operator asks this challenger for the statements of periods; nobody else may."""
        body = parse_row(payload)
        pool = await self._responsible(body.get("pool"))
        first, through = body.get("first"), body.get("through")
        if peer_id != (await self._desk.rule_book.of(pool)).operator_peer:
            raise RefusedError("statements go to the pool's operator only")
        if type(first) is not int or type(through) is not int or not 0 <= through - first < MAX_RANGE:
            raise RefusedError("the request for statements is malformed")
        statements = self._desk.statements(pool, range(first, through + 1))
        return page_of([statement.row() for statement in statements], body.get("after"))

    async def _responsible(self, number: object) -> Pool:
        """A pool that this node runs or watches. Raises: NotFoundError."""
        if type(number) is int:
            pool = await self._desk.pool(number)
            if pool.operator == self._account or self.is_watched(number):
                return pool
        raise NotFoundError("no such pool here")

    async def _check_time(self, pool: Pool, statement: UseStatement) -> None:
        now, roots = await self._desk.now(), await self._due.roots(pool)
        pending = pending_root(roots)
        covered = pending.through if pending else -1
        if statement.period <= covered or statement.period < pool.first_allocable(now):
            raise RefusedError(f"period {statement.period} is divided, or can only be refunded")
        if pool.end_of(statement.period) > now:
            raise RefusedError(f"period {statement.period} is not over")

    # Dividing.

    async def divide(self, job: Job[DivideOrder], report: Report) -> PostedDivision:
        """Job: post the division that is due. Raises: NotFoundError, RefusedError (none is due)."""
        pool = await self._due.own(job.order.pool)
        report(JobStep("divide", 1, 1))
        posted = await self._post(pool)
        if posted is None:
            raise RefusedError(f"pool {pool.number} has no period to divide now", f"viz-node pool show {pool.number}")
        return posted

    async def watch(self) -> None:
        """Adopt, divide and check what is due. Raises: VizNodeError, the first one when others went on."""
        now, market = await self._desk.now(), self._market
        self._window = (await asyncio.to_thread(market.facts)).veto_window_seconds
        own = [pool.number for pool in await asyncio.to_thread(market.pools_of, self._account)]
        watched = [int(key.removeprefix(WATCHED)) for key in self._records.pool_records_with(WATCHED, WatchedRecord)]
        await for_each([*own, *watched], lambda number: self._run(number, now))

    async def _run(self, number: int, now: int) -> None:
        pool = await self._desk.pool(number)
        roots = await self._due.roots(pool)
        duty = decide_duty(pool, self._account, roots, self._window, now)
        if duty is Duty.ADOPT:
            await self._execute("adopt", pool, roots, lambda: self._market.prepare_adopt_root(pool.number))
        elif duty is Duty.CHECK:
            await self._check(pool, roots, now)
        elif duty is Duty.DIVIDE:
            await self._post(pool)

    async def _post(self, pool: Pool) -> PostedDivision | None:
        roots = await self._due.roots(pool)
        due = await self._due.decide(pool, roots)
        if isinstance(due, NothingToDo):
            return None
        through, division = due.through, due.division
        digest, uri = await self._desk.data.publish(division)
        prepare = self._market.prepare_post_root
        tx_hash = await self._execute(
            "root", pool, roots, lambda: prepare(pool.number, through, division.totals, digest, uri)
        )
        return PostedDivision(pool.number, through, digest.hex(), tx_hash)

    # Challenging.

    async def _check(self, pool: Pool, roots: Sequence[PostedRoot], now: int) -> None:
        """Derive the posted root again, once, and strike it out if it is wrong or its data stays away."""
        key = f"{CHECKED}{pool.number}/{len(roots)}/{roots[-1].root.hex()}"
        if self._records.find_pool_record(key, CheckedRecord) is not None:
            return
        faults = await self._faults(pool, roots)
        if faults is None and now < roots[-1].adoptable_at - self._window // 2:
            return
        if faults != []:
            log.error("pool %d: %s", pool.number, "; ".join(faults or ["its data cannot be had"])[:500])
            await self._execute("veto", pool, roots, lambda: self._market.prepare_veto(pool.number))
        self._records.save_pool_record(key, CheckedRecord(tuple((faults or [])[:10])))

    async def _faults(self, pool: Pool, roots: Sequence[PostedRoot]) -> list[str] | None:
        """What is wrong with the newest root; None while its data cannot be had."""
        posted = roots[-1]
        try:
            division = await self._desk.data.division(pool, posted)
        except VizNodeError as error:
            if self._desk.data.path_of(posted.data_digest).exists():  # it is what was published, and wrong in itself
                return [error.message]
            log.warning("pool %d: %s", pool.number, error.message)
            return None
        facts = await self._desk.facts(pool, posted.first, posted.through)
        recover, ask = self._desk.signatures.recover, self._desk.signatures.accepts
        faults = await asyncio.to_thread(faults_of, division, facts, recover, ask)
        told = {place_of(item) for item in division.statements}
        own = self._desk.statements(pool, list(facts.subscribers))
        faults += [f"the uses of {item.holder} are left out" for item in own if place_of(item) not in told]
        used = {adapter for item in division.statements for adapter in item.uses}
        left_out = {member.adapter for member in self._desk.members(pool)} & used
        left_out -= {member.adapter for member in division.members}
        return faults + [f"adapter {adapter} is left out" for adapter in sorted(left_out)]

    async def _execute(
        self, what: str, pool: Pool, roots: Sequence[PostedRoot], make_call: Callable[[], Call]
    ) -> str | None:
        """Send it once for this state of the pool; None if somebody else was faster."""
        order_id = f"pool-{what}:{pool.number}:{len(roots)}"
        try:
            return await self._treasury.execute(order_id, make_call, Purpose(f"pool {what}"))
        except TransactionRevertedError as error:
            log.warning("pool %d: %s: %s", pool.number, what, error.message)
            return None
