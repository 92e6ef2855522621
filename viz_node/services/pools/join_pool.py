"""An owner's side of pools: join with an adapter, and give its key to subscribers."""

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from viz_node.domain.answer import as_json
from viz_node.domain.decide_pool import JoinFacts, decide_join, pending_root
from viz_node.domain.decision import granted
from viz_node.domain.ids import Account, PeerId
from viz_node.domain.pool import ADOPTED, LAPSE_SECONDS, MemberRow, Pool
from viz_node.domain.pool_records import JOINED, JoinedRecord
from viz_node.domain.purposes import Purpose
from viz_node.errors import (
    NotFoundError,
    TransactionRevertedError,
    VizNodeError,
)
from viz_node.ports.keys import AccountSigning
from viz_node.ports.money import Spending
from viz_node.ports.pools import PoolCredits
from viz_node.ports.state import PoolRecords
from viz_node.services.market.listings import Listings
from viz_node.services.pools.pool_desk import JOIN_METHOD, PoolDesk, Told, for_each

# Operator and challenger have their turns to adopt before.
_MEMBERS_TURN = LAPSE_SECONDS // 2


@dataclass(frozen=True)
class PoolSigner:
    """This account, and what signs its statements."""

    account: Account
    signing: AccountSigning


@dataclass(frozen=True)
class JoinedPool:
    """An adapter that was given to a pool; `told` counts the parties that have heard of it."""

    pool: int
    adapter: str
    split: int
    told: int


@dataclass(frozen=True)
class LeftPool:
    """An adapter that new subscribers of a pool do not get any more."""

    pool: int
    adapter: str


class PoolMembers:
    """The adapters of this node that pools have."""

    def __init__(
        self,
        desk: PoolDesk,
        records: PoolRecords,
        market: PoolCredits,
        treasury: Spending,
        listings: Listings,
        signer: PoolSigner,
    ) -> None:
        self._desk = desk
        self._records = records
        self._market = market
        self._treasury = treasury
        self._listings = listings
        self._signer = signer

    async def join(self, number: int, adapter: str) -> JoinedPool:
        """Give subscribers of a pool the key of an adapter from now on, for its part of the fees.

        Raises: NotFoundError, RefusedError (another's adapter, or not for sale), PeerUnreachableError.
        """
        pool, listing = await self._desk.pool(number), await self._listings.listing(adapter)
        facts = JoinFacts(
            account=self._signer.account,
            place=pool.place,
            name=listing.manifest.name,
            owner=listing.manifest.account,
            adapter=listing.adapter_number,
            split_id=listing.offer.split_id,
        )
        unsigned = granted(decide_join(facts))
        member = await asyncio.to_thread(unsigned.signed, self._signer.signing.sign_as_account)
        key = f"{JOINED}{number}/{member.adapter}"
        record = JoinedRecord(member.row(), (), listing.adapter_id)
        self._records.save_pool_record(key, record)
        told = await self._tell(pool, key, record)
        return JoinedPool(number, facts.name, member.split_id, len(told))

    async def leave(self, number: int, adapter: str) -> LeftPool:
        """Give nobody the key any more for being a subscriber; what they have stays, and its uses are still paid."""
        listing = await self._listings.listing(adapter)
        key = f"{JOINED}{number}/{listing.adapter_number}"
        record = self._records.find_pool_record(key, JoinedRecord)
        if record is None or record.left:
            raise NotFoundError(f"{listing.manifest.name} is not in pool {number}", f"viz-node pool show {number}")
        self._records.save_pool_record(key, replace(record, left=True))
        return LeftPool(number, listing.manifest.name)

    async def granted_in(self, adapter_number: int, account: Account) -> list[int | None]:
        """In which blocks the running periods of pools that have the adapter were paid for the account.

        Raises: ChainUnavailableError.
        """
        joined = self._records.pool_records_with(JOINED, JoinedRecord)
        keys = [key.split("/") for key, record in joined.items() if not record.left]
        now, blocks = await self._desk.now(), list[int | None]()
        for number in [int(pool) for _, pool, adapter in keys if int(adapter) == adapter_number]:
            period = (await self._desk.pool(number)).period_at(now)
            block = await asyncio.to_thread(self._market.subscribed_in, number, period, account)
            blocks += [] if block is None else [block]
        return blocks

    async def watch(self) -> None:
        """Tell operators and challengers what they did not hear, and get what was divided.

        Raises: VizNodeError.
        """
        joined = self._records.pool_records_with(JOINED, JoinedRecord)
        await for_each(joined, lambda key: self._attend(key, joined[key]))

    async def _attend(self, key: str, record: JoinedRecord) -> None:
        pool = await self._desk.pool(int(key.split("/")[1]))
        if len(record.told) < 2 and not record.left:
            await self._tell(pool, key, record)
        roots, now = await asyncio.to_thread(self._market.posted_roots, pool.number), await self._desk.now()
        pending = pending_root(roots)
        if pending is not None and now >= pending.adoptable_at + _MEMBERS_TURN:
            await self._adopt(pool, len(roots))
        missing = [root for root in roots if root.state == ADOPTED and now < root.until]
        # An owner paid by a root keeps its data.
        await for_each(
            [root for root in missing if not self._desk.data.has(root)], partial(self._desk.data.division, pool)
        )

    async def _adopt(self, pool: Pool, count: int) -> None:
        """Everybody else rests, and soon the root lapses."""
        make_call, purpose = self._market.prepare_adopt_root, Purpose("pool adopt")
        with suppress(TransactionRevertedError):  # somebody was faster
            await self._treasury.submit(f"pool-adopt:{pool.number}:{count}", lambda: make_call(pool.number), purpose)

    async def _tell(self, pool: Pool, key: str, record: JoinedRecord) -> list[PeerId]:
        told = list(record.told)
        rules = await self._desk.rule_book.of(pool)
        for peer_id in (rules.operator_peer, rules.challenger_peer):
            if peer_id not in told:
                try:
                    await self._say(pool, peer_id, record.row)
                except VizNodeError:  # the watch says it again
                    continue
                told.append(peer_id)
        self._records.save_pool_record(key, replace(record, told=tuple(told)))
        return told

    async def _say(self, pool: Pool, peer_id: PeerId, row: MemberRow) -> None:
        if peer_id == self._desk.peer_id:
            await self._desk.take_member(pool, as_json(row))
        else:
            await self._desk.ask(peer_id, JOIN_METHOD, Told(pool.number, row))
