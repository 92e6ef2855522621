"""Run and watch pools: the operator divides what periods brought, the challenger strikes out what is wrong.

Neither keeps a table of what is due: `watch` reads it from the chain, and every transaction has an order id that counts
the roots posted before it, so that a look that was killed is simply repeated. Before he posts, the operator asks the
challenger for statements that he lacks; so a root without one that the challenger has is a wrong one.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from hashlib import sha256
from typing import Any

from viz_node.domain.distribution import PoolRule
from viz_node.domain.division import Division, PoolFacts, faults_of, parse_division, place_of, statement_fault
from viz_node.domain.ids import (
    WHOLE,
    BasisPoints,
    PeerId,
    TokenAmount,
    format_amount,
    format_coin,
    parse_account,
    parse_peer_id,
)
from viz_node.domain.job import Job
from viz_node.domain.pool import (
    LAPSE_SECONDS,
    MAX_RANGE,
    PENDING,
    VETOED,
    Pool,
    PoolRules,
    PostedRoot,
    UseStatement,
    check_rules,
    parse_row,
    parse_rules,
    parse_statement,
)
from viz_node.domain.royalty import RoyaltySplit, parse_percent, split_from_shares, with_platform
from viz_node.domain.terms import DAY_SECONDS
from viz_node.errors import NotFoundError, RefusedError, TransactionRevertedError, UsageError, VizNodeError
from viz_node.services.market.check_signature import accepts, divide_signed, is_signed_now
from viz_node.services.part import Report
from viz_node.services.pools.pool_desk import STATEMENTS_METHOD, PoolDesk, for_each, page_of

log = logging.getLogger(__name__)

_WATCHED = "watched/"
# A third of the time in which a root can be adopted; after it the challenger does it, and then the members do.
_OPERATORS_TURN = LAPSE_SECONDS // 3


@dataclass(frozen=True)
class AskedPool:
    """What somebody who opens a pool asks for, as people write it; `challenger` is ACCOUNT@PEER."""

    name: str
    fee: TokenAmount
    days: int
    challenger: str
    rule: str
    share: str
    grace_hours: int


class PoolOperator:
    """Pools that this node runs or watches."""

    def __init__(self, desk: PoolDesk) -> None:
        self._desk = desk
        self._trade = desk.trade
        self._window = 0

    # Opening a pool.

    def check_new(self, asked: AskedPool) -> dict[str, Any]:
        """The order for a new pool. Raises: UsageError, InvalidSplitError."""
        name, _, peer_id = asked.challenger.partition("@")
        challenger = parse_account(name)
        if not peer_id or challenger == self._trade.keys.account:
            raise UsageError(
                "a pool is watched by somebody else's node", "--challenger ACCOUNT@PEER; see `viz-node id`"
            )
        if asked.fee < 1 or not 1 <= asked.days <= 366:
            raise UsageError("a pool has a fee, and periods of 1 to 366 days", "--fee 9.99 --days 30")
        rules = PoolRules(
            name=asked.name,
            rule=_rule_of(asked.rule),
            adapters_share=parse_percent(asked.share),
            reserve_split=1,  # known when the job has found or made it
            operator_peer=self._trade.keys.peer_id,
            challenger_peer=parse_peer_id(peer_id),
            grace_seconds=asked.grace_hours * 3600,
            created=self._trade.now(),
        )
        parse_rules(check_rules(rules).payload())
        terms = {"fee": asked.fee, "period_seconds": asked.days * DAY_SECONDS, "challenger": challenger}
        return {"name": asked.name, "rules": rules.payload().decode(), **terms}

    async def plan_new(self, asked: AskedPool) -> list[dict[str, Any]]:
        """What opening costs and means. Raises: as `check_new`, ChainUnavailableError."""
        order = self.check_new(asked)
        split, market = await asyncio.to_thread(self._reserve), self._trade.market
        call = self._create_call(order, parse_rules(order["rules"].encode()))
        wei = await self._trade.quotes.quote_wei(call)
        if await asyncio.to_thread(market.find_split, split) is None:
            wei += await self._trade.quotes.quote_wei(market.prepare_split(split))
        consequence = "its fee, period, rule and challenger never change; you divide each period, or it is refunded"
        what = f"open pool {asked.name}: {format_amount(asked.fee)} per {asked.days} days"
        return [{"what": what, "amount": "", "gas": format_coin(wei), "consequence": consequence}]

    async def create(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: open a pool whose reserve goes to this account; repeated after a crash it opens one."""
        market, treasury = self._trade.market, self._trade.treasury
        split, detail = (
            await asyncio.to_thread(self._reserve),
            {"kind": "pool", "name": job.order["name"], "job": job.job_id},
        )
        report({"phase": "reserve", "step": 1, "steps": 2})
        number = await asyncio.to_thread(market.find_split, split)
        if number is None:
            await treasury.execute(f"pool-split:{job.job_id}", lambda: market.prepare_split(split), detail)
            number = await asyncio.to_thread(market.find_split, split)
        if number is None:
            raise NotFoundError("the reserve's split is not on the chain any more", "viz-node jobs resume JOB")
        asked = parse_rules(str(job.order["rules"]).encode())
        rules = replace(asked, reserve_split=number)
        self._desk.keep_rules(rules)
        report({"phase": "open", "step": 2, "steps": 2})
        call = self._create_call(job.order, rules)
        tx_hash = await treasury.execute(f"pool:{job.job_id}", lambda: call, detail)
        await self._trade.network.provide(rules.digest().hex())
        pools = await asyncio.to_thread(market.pools_of, self._trade.keys.account)
        numbers = [pool.number for pool in pools if pool.rules == rules.digest()]
        return {"pool": max(numbers, default=None), "tx_hash": tx_hash}

    def _create_call(self, order: dict[str, Any], rules: PoolRules) -> Any:
        fee = TokenAmount(order["fee"])
        prepare = self._trade.market.prepare_create_pool
        return prepare(order["challenger"], fee, order["period_seconds"], rules.digest())

    def _reserve(self) -> RoyaltySplit:
        facts = self._trade.market.facts()
        own = split_from_shares({self._trade.keys.account: BasisPoints(WHOLE)})
        return with_platform(own, facts.platform, facts.platform_fee)

    # Watching one.

    async def set_watched(self, number: int, wanted: bool) -> dict[str, Any]:
        """Be the challenger of a pool from now on, or no more; who opens a pool may name anybody.

        Raises: NotFoundError, RefusedError (it names another account or node).
        """
        pool, key = await self._desk.pool(number), f"{_WATCHED}{number}"
        if pool.challenger != self._trade.keys.account:
            raise RefusedError(f"pool {number} is watched by {pool.challenger}", "viz-node pool list")
        if wanted:
            peer_id = (await self._desk.rules(pool)).challenger_peer
            if peer_id != self._trade.keys.peer_id:
                raise RefusedError(f"statements of pool {number} go to another node, {peer_id}", "watch it there")
            self._trade.store.save_pool_record(key, {})
        else:
            self._trade.store.remove_pool_record(key)
        return {"pool": number, "watched": wanted}

    def is_watched(self, number: int) -> bool:
        """Whether this node is the challenger of the pool, and has said that it wants to be."""
        return self._trade.store.find_pool_record(f"{_WATCHED}{number}") is not None

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
        fault = await asyncio.to_thread(statement_fault, statement, facts, partial(is_signed_now, self._trade))
        if fault:
            raise RefusedError(fault)
        self._desk.keep_statement(pool, statement)
        return b"{}"

    async def on_statements(self, peer_id: PeerId, payload: bytes) -> bytes:
        """The operator asks this challenger for the statements of periods; nobody else may."""
        body = parse_row(payload)
        pool = await self._responsible(body.get("pool"))
        first, through = body.get("first"), body.get("through")
        if peer_id != (await self._desk.rules(pool)).operator_peer:
            raise RefusedError("statements go to the pool's operator only")
        if type(first) is not int or type(through) is not int or not 0 <= through - first < MAX_RANGE:
            raise RefusedError("the request for statements is malformed")
        statements = self._desk.statements(pool, range(first, through + 1))
        return page_of([statement.row() for statement in statements], body.get("after"))

    async def _responsible(self, number: object) -> Pool:
        """A pool that this node runs or watches. Raises: NotFoundError."""
        if type(number) is int:
            pool = await self._desk.pool(number)
            if pool.operator == self._trade.keys.account or self.is_watched(number):
                return pool
        raise NotFoundError("no such pool here")

    async def _check_time(self, pool: Pool, statement: UseStatement) -> None:
        now, roots = await self._desk.now(), await self._roots(pool)
        covered = roots[-1].through if roots and roots[-1].state == PENDING else -1
        if statement.period <= covered or statement.period < pool.first_allocable(now):
            raise RefusedError(f"period {statement.period} is divided, or can only be refunded")
        if pool.end_of(statement.period) > now:
            raise RefusedError(f"period {statement.period} is not over")

    # Dividing.

    async def plan_division(self, number: int) -> list[dict[str, Any]]:
        """What posting the division that is due costs and means; no row if none is due. Raises: as `divide`."""
        pool = await self._own(number)
        due = await self._due(pool, await self._roots(pool))
        if due is None:
            return []
        through, division = due
        call = self._trade.market.prepare_post_root(number, through, division.totals, bytes(32), "viz-blob:" + 75 * "0")
        gas = format_coin(await self._trade.quotes.quote_wei(call))
        added = sum(division.totals.values())
        what = f"divide {format_amount(added)} among {len(division.totals)} splits, up to period {through}"
        consequence = "the challenger can strike it out; then splits are credited"
        return [{"what": what, "amount": "", "gas": gas, "consequence": consequence}]

    async def divide(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: post the division that is due. Raises: NotFoundError, RefusedError (none is due)."""
        pool = await self._own(int(job.order["pool"]))
        report({"phase": "divide", "step": 1, "steps": 1})
        posted = await self._post(pool)
        if posted is None:
            raise RefusedError(f"nothing of pool {pool.number} is due", f"viz-node pool show {pool.number}")
        return posted

    async def watch(self) -> None:
        """Adopt, divide and check what is due. Raises: VizNodeError, the first one when others went on."""
        now, market = await self._desk.now(), self._trade.market
        self._window = (await asyncio.to_thread(market.facts)).veto_window_seconds
        own = [pool.number for pool in await asyncio.to_thread(market.pools_of, self._trade.keys.account)]
        watched = [int(key.removeprefix(_WATCHED)) for key in self._trade.store.pool_records_with(_WATCHED)]
        await for_each([*own, *watched], lambda number: self._run(number, now))

    async def _run(self, number: int, now: int) -> None:
        pool = await self._desk.pool(number)
        roots = await self._roots(pool)
        pending = roots[-1] if roots and roots[-1].state == PENDING else None
        window = min(self._window, _OPERATORS_TURN) if pool.challenger == self._trade.keys.account else 0
        if pending is not None and now >= pending.adoptable_at + window:  # the challenger only when the operator rests
            await self._execute("adopt", pool, roots, lambda: self._trade.market.prepare_adopt_root(pool.number))
        elif pending is not None and pool.challenger == self._trade.keys.account:
            await self._check(pool, roots, now)
        elif pending is None and pool.operator == self._trade.keys.account:
            await self._post(pool)

    async def _post(self, pool: Pool) -> dict[str, Any] | None:
        roots = await self._roots(pool)
        due = None if roots and roots[-1].state == PENDING else await self._due(pool, roots)
        if due is None:
            return None
        through, division = due
        digest, uri = await self._desk.publish(division)
        prepare = self._trade.market.prepare_post_root
        tx_hash = await self._execute(
            "root", pool, roots, lambda: prepare(pool.number, through, division.totals, digest, uri)
        )
        return {"pool": pool.number, "through": through, "data": digest.hex(), "tx_hash": tx_hash}

    async def _due(self, pool: Pool, roots: Sequence[PostedRoot]) -> tuple[int, Division] | None:
        """The last period to divide now, and how; None if no period with fees is over and its grace too."""
        rules, now = await self._desk.rules(pool), await self._desk.now()
        first = pool.first_allocable(now)
        through = min(pool.period_at(now - rules.grace_seconds) - 1, first + MAX_RANGE - 1)
        facts = await self._desk.facts(pool, first, through)
        if not facts.subscribers:
            return None
        await self._ask_challenger(pool, rules, facts)
        members = await self._desk.refresh_members(pool, rules)
        statements = self._desk.statements(pool, list(facts.subscribers))
        shown = (await self._trade.treasury.heads()).shown
        division = await asyncio.to_thread(divide_signed, self._trade, rules, facts, members, statements, max(shown, 1))
        if await asyncio.to_thread(self._is_struck_out, division, roots):
            # Posted again as it is, it would be struck out again, and cost gas each time.
            log.warning("pool %d: its challenger has struck out exactly this division", pool.number)
            return None
        return through, division

    def _is_struck_out(self, division: Division, roots: Sequence[PostedRoot]) -> bool:
        """Whether this was vetoed before, whatever the block at which contract accounts were asked."""
        digest = sha256(division.payload()).digest()
        for root in [root for root in roots if root.state == VETOED]:
            path = self._desk.path_of(root.data_digest)
            if root.data_digest == digest:
                return True
            if division.wallets_block and path.exists():
                vetoed = parse_division(path.read_bytes())
                if replace(vetoed, wallets_block=division.wallets_block) == division:
                    return True
        return False

    async def _ask_challenger(self, pool: Pool, rules: PoolRules, facts: PoolFacts) -> None:
        """Take in the statements that only the challenger has; he may be away."""
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
                statement_fault, statement, facts, partial(is_signed_now, self._trade)
            ):
                self._desk.keep_statement(pool, statement)

    # Challenging.

    async def _check(self, pool: Pool, roots: Sequence[PostedRoot], now: int) -> None:
        """Derive the posted root again, once, and strike it out if it is wrong or its data stays away."""
        key = f"checked/{pool.number}/{len(roots)}/{roots[-1].root.hex()}"
        if self._trade.store.find_pool_record(key) is not None:
            return
        faults = await self._faults(pool, roots)
        if faults is None and now < roots[-1].adoptable_at - self._window // 2:
            return
        if faults != []:
            log.error("pool %d: %s", pool.number, "; ".join(faults or ["its data cannot be had"])[:500])
            await self._execute("veto", pool, roots, lambda: self._trade.market.prepare_veto(pool.number))
        self._trade.store.save_pool_record(key, {"faults": (faults or [])[:10]})

    async def _faults(self, pool: Pool, roots: Sequence[PostedRoot]) -> list[str] | None:
        """What is wrong with the newest root; None while its data cannot be had."""
        posted = roots[-1]
        try:
            division = await self._desk.division(pool, posted)
        except VizNodeError as error:
            if self._desk.path_of(posted.data_digest).exists():  # it is what was published, and wrong in itself
                return [error.message]
            log.warning("pool %d: %s", pool.number, error.message)
            return None
        facts = await self._desk.facts(pool, posted.first, posted.through)
        recover, ask = self._trade.sealing.recover_account, partial(accepts, self._trade)
        faults = await asyncio.to_thread(faults_of, division, facts, recover, ask)
        told = {place_of(item) for item in division.statements}
        own = self._desk.statements(pool, list(facts.subscribers))
        faults += [f"the uses of {item.holder} are left out" for item in own if place_of(item) not in told]
        used = {adapter for item in division.statements for adapter in item.uses}
        left_out = {member.adapter for member in self._desk.members(pool)} & used
        left_out -= {member.adapter for member in division.members}
        return faults + [f"adapter {adapter} is left out" for adapter in sorted(left_out)]

    async def _execute(self, what: str, pool: Pool, roots: Sequence[PostedRoot], make_call: Any) -> str | None:
        """Send it once for this state of the pool; None if somebody else was faster."""
        order_id = f"pool-{what}:{pool.number}:{len(roots)}"
        detail = {"kind": f"pool {what}", "pool": pool.number}
        try:
            return await self._trade.treasury.execute(order_id, make_call, detail)
        except TransactionRevertedError as error:
            log.warning("pool %d: %s: %s", pool.number, what, error.message)
            return None

    async def _own(self, number: int) -> Pool:
        pool = await self._desk.pool(number)
        if pool.operator != self._trade.keys.account:
            raise RefusedError(f"pool {number} is run by {pool.operator}", "viz-node pool list")
        return pool

    async def _roots(self, pool: Pool) -> Sequence[PostedRoot]:
        return await asyncio.to_thread(self._trade.market.posted_roots, pool.number)


def _rule_of(text: str) -> PoolRule:
    try:
        return PoolRule(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is no rule of division", "--rule user-centric") from error
