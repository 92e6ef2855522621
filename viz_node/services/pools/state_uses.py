"""State the uses of a period that is over, and call back fees that nobody divided in time.

A statement is made once per period, signed, kept and sent until both parties of the pool have it.
"""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import replace

from viz_node.domain.decide_pool import PeriodStep, decide_period, root_over
from viz_node.domain.ids import PeerId
from viz_node.domain.pool import Pool, StatementRow, UseStatement
from viz_node.domain.pool_records import STATED, StatedRecord
from viz_node.domain.purposes import RefundPeriod
from viz_node.errors import VizNodeError
from viz_node.ports.money import Spending
from viz_node.ports.pools import PoolSubscriptions
from viz_node.ports.state import PoolRecords
from viz_node.services.pools.join_pool import PoolSigner
from viz_node.services.pools.pool_desk import USES_METHOD, PoolDesk, Told, for_each
from viz_node.services.pools.use_pool import PoolUses

log = logging.getLogger(__name__)

_AGAIN_SECONDS = 60


class UseStatements:
    """What a subscriber owes and is owed when a period is over."""

    def __init__(
        self,
        desk: PoolDesk,
        records: PoolRecords,
        market: PoolSubscriptions,
        treasury: Spending,
        uses: PoolUses,
        signer: PoolSigner,
    ) -> None:
        self._desk = desk
        self._records = records
        self._market = market
        self._treasury = treasury
        self._uses = uses
        self._signer = signer
        self._rest_until: dict[str, int] = {}
        self._stated: set[tuple[int, int]] = set()
        self._ended: set[tuple[int, int]] = set()

    async def watch(self) -> None:
        """State the uses of periods that are over, and call back fees of those that nobody divided in time.

        Only of what this account has paid: a giver of a subscription shall not learn what the reader uses, nor have
        it spend gas. Raises: VizNodeError.
        """
        now, account = await self._desk.now(), self._signer.account
        paid = await asyncio.to_thread(self._market.subscriptions_of, account, account)
        await for_each(paid, lambda number: self._attend(number, paid[number], now))

    async def _attend(self, number: int, periods: Sequence[int], now: int) -> None:
        pool = await self._desk.pool(number)
        over = [period for period in periods if pool.end_of(period) <= now and (number, period) not in self._ended]
        roots = await asyncio.to_thread(self._market.posted_roots, number) if over else []

        async def attend(period: int) -> None:
            root = root_over(period, roots)
            step = decide_period(pool.end_of(period), root, now)
            if root is not None and step is PeriodStep.CALL_BACK_REST:
                await self._call_back_rest(pool, root.through, period)
            elif step is PeriodStep.STATE_USES and (number, period) not in self._stated:
                await self._state(pool, period)
            elif step is PeriodStep.CALL_BACK:
                await self._call_back(pool, period)

        await for_each(over, attend)

    async def _state(self, pool: Pool, period: int) -> None:
        key = f"{STATED}{pool.number}/{period}"
        record = self._records.find_pool_record(key, StatedRecord) or await self._new_statement(pool, period, key)
        rules = await self._desk.rule_book.of(pool)
        parties = [rules.operator_peer, rules.challenger_peer]
        told = list(record.told)
        if record.row is not None:
            for peer_id in [peer for peer in parties if peer not in told]:
                if await self._tell(pool, peer_id, record.row):
                    told.append(peer_id)
        self._records.save_pool_record(key, replace(record, told=tuple(told)))
        if record.row is None or len(told) == len(parties):
            self._stated.add((pool.number, period))

    async def _new_statement(self, pool: Pool, period: int, key: str) -> StatedRecord:
        await self._desk.refresh_members(pool, await self._desk.rule_book.of(pool))
        uses = await self._uses.uses(pool, period)
        row = None
        if uses:
            statement = UseStatement(pool.place, period, self._signer.account, uses)
            row = (await asyncio.to_thread(statement.signed, self._signer.signing.sign_as_account)).row()
        record = StatedRecord(row, ())
        self._records.save_pool_record(key, record)
        return record

    async def _tell(self, pool: Pool, peer_id: PeerId, row: StatementRow) -> bool:
        """Whether the peer has the statement. One that refuses or is away is asked again, until a root is adopted."""
        if self._desk.clock() < self._rest_until.get(peer_id, 0):
            return False
        try:
            if peer_id == self._desk.peer_id:
                self._desk.keep_statement(pool, row.statement(pool.place))
            else:
                await self._desk.ask(peer_id, USES_METHOD, Told(pool.number, row))
        except VizNodeError as error:
            log.warning("uses of period %d of pool %d: %s", row.period, pool.number, error.message)
            self._rest_until[peer_id] = self._desk.clock() + _AGAIN_SECONDS
            return False
        return True

    async def _call_back(self, pool: Pool, period: int) -> None:
        """Take back the fee of a period that was not divided in time."""
        market, account = self._market, self._signer.account
        is_open = await asyncio.to_thread(market.pool_income, pool.number, period) > 0
        if is_open and await self._has_paid(pool, period):
            await self._treasury.execute(
                f"pool-refund:{pool.number}:{period}",
                lambda: market.prepare_refund_period(pool.number, period, account),
                RefundPeriod("pool refund", pool=pool.number, period=period),
            )
        self._ended.add((pool.number, period))

    async def _call_back_rest(self, pool: Pool, through: int, period: int) -> None:
        """Take back the fee's part of what no split claimed in time, if it is worth the gas."""
        market, account = self._market, self._signer.account
        left, fees = await asyncio.to_thread(market.pool_rest, pool.number, through)
        if left and await self._has_paid(pool, period):
            call = market.prepare_refund_rest(pool.number, through, period, account)
            if await self._desk.costs(call) <= left // fees:
                purpose = RefundPeriod("pool refund", pool=pool.number, period=period)
                await self._treasury.execute(f"pool-rest:{pool.number}:{period}", lambda: call, purpose)
        self._ended.add((pool.number, period))

    async def _has_paid(self, pool: Pool, period: int) -> bool:
        """Whether this account has paid its own fee of the period, and does not have it back."""
        account = self._signer.account
        payer = await asyncio.to_thread(self._market.subscription_payer, pool.number, period, account)
        return payer == account
