"""Catalogue subscriptions as people see them: what pools there are, what they hold, and what this node is in them."""

import asyncio
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from viz_node.domain.answer import UNSET, UnsetType
from viz_node.domain.division import Division
from viz_node.domain.ids import Account, PeerId, format_amount, format_time
from viz_node.domain.pool import ADOPTED, PENDING, Pool, PostedRoot
from viz_node.domain.terms import DAY_SECONDS
from viz_node.errors import ChainUnavailableError, NotFoundError, StorageError, VizNodeError, already_there
from viz_node.ports.pools import PoolTables
from viz_node.services.pools.pool_desk import PoolDesk
from viz_node.services.pools.use_pool import PoolUses

NamesOf = Callable[[Collection[int]], Mapping[int, str]]
# Each name that is new here takes questions to the chain's endpoint, and anybody may fill a pool.
_MOST_NAMED = 256


@dataclass(frozen=True, kw_only=True)
class ShownPool:
    """A pool as people see it: amounts in tokens, `adapters_share` in percent; `error` where no rules are known."""

    pool: int
    name: str
    fee: str
    days: float
    rule: str
    adapters_share: str
    period: int
    period_ends: str
    paid_periods: list[int]
    roles: list[str]
    divided: str
    operator: Account
    challenger: Account
    error: str | UnsetType = UNSET


@dataclass(frozen=True)
class ShownMember:
    """An adapter of a pool: its number on the chain, its name where this node knows one, and the own uses so far."""

    adapter: int
    name: str
    account: Account
    split: int
    my_uses: int


@dataclass(frozen=True)
class GivenUnits:
    """What a root gives a split, in tokens; `what` is `adapters` or `reserve`."""

    split: int
    units: str
    what: str


@dataclass(frozen=True)
class ShownRoot:
    """A posted root: its periods, their fees, and the digest of its data; what it gives where that is here."""

    periods: str
    fees: str
    state: str
    adoptable_at: str
    claims_end: str
    data: str
    given: list[GivenUnits] | UnsetType = UNSET


@dataclass(frozen=True, kw_only=True)
class PoolDetails(ShownPool):
    """One pool with all that is known of it."""

    reserve_split: int
    operator_peer: PeerId
    challenger_peer: PeerId
    grace_hours: float
    members: list[ShownMember]
    roots: list[ShownRoot]


@dataclass(frozen=True)
class WrittenData:
    """The files that were written for auditors, and the digests of the data that nobody has."""

    pool: int
    directory: str
    files: list[str]
    missing: list[str]


class PoolView:
    """What pools there are, and what this node is in them."""

    def __init__(
        self,
        desk: PoolDesk,
        market: PoolTables,
        uses: PoolUses,
        account: Account,
        is_watched: Callable[[int], bool],
        names_of: NamesOf,
    ) -> None:
        self._desk = desk
        self._market = market
        self._uses = uses
        self._account = account
        self._is_watched = is_watched
        self._names_of = names_of

    async def rows(self) -> list[ShownPool]:
        """All pools of the market. Raises: ChainUnavailableError."""
        market, account = self._market, self._account
        now, paid = await self._desk.now(), await asyncio.to_thread(market.subscriptions_of, account)
        pools = await asyncio.to_thread(market.pools)
        await self._desk.rule_book.ask_for(pools)
        divided = await asyncio.to_thread(market.divided)
        return [self._row(pool, now, paid.get(pool.number, []), divided.get(pool.number, 0)) for pool in pools]

    async def show(self, number: int) -> PoolDetails:
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
        named = [member.adapter for member in members[:_MOST_NAMED]]
        names = await asyncio.to_thread(self._names_of, named)
        return PoolDetails(
            **vars(row),
            reserve_split=rules.reserve_split,
            operator_peer=rules.operator_peer,
            challenger_peer=rules.challenger_peer,
            grace_hours=rules.grace_seconds / 3600,
            members=[
                ShownMember(
                    adapter=member.adapter,
                    name=names.get(member.adapter, ""),
                    account=member.account,
                    split=member.split_id,
                    my_uses=uses.get(member.adapter, 0),
                )
                for member in members
            ],
            roots=[await self._root(pool, root) for root in roots],
        )

    async def export(self, number: int, directory: Path) -> WrittenData:
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
        return WrittenData(number, str(directory), written, missing)

    def _row(self, pool: Pool, now: int, paid: Sequence[int], divided: int) -> ShownPool:
        account, current = self._account, pool.period_at(now)
        duty = "challenger" if self._is_watched(pool.number) else "asked to watch"
        roles = [role for role, holder in (("operator", pool.operator), (duty, pool.challenger)) if holder == account]
        rules = self._desk.rule_book.known(pool)
        return ShownPool(
            pool=pool.number,
            name=rules.name if rules else "",
            fee=format_amount(pool.fee),
            days=pool.period_seconds / DAY_SECONDS,
            rule=str(rules.rule) if rules else "",
            adapters_share=f"{rules.adapters_share / 100:g}" if rules else "",
            period=current,
            period_ends=format_time(pool.end_of(current)),
            paid_periods=[period for period in paid if period >= current],
            roles=roles + (["subscriber"] if current in paid else []),
            divided=format_amount(divided),
            operator=pool.operator,
            challenger=pool.challenger,
            error=UNSET if rules else f"no peer has told the rules of pool {pool.number}",
        )

    async def _root(self, pool: Pool, root: PostedRoot) -> ShownRoot:
        given: list[GivenUnits] | UnsetType = UNSET
        if root.state in (PENDING, ADOPTED) and self._desk.data.has(root):
            division = await self._desk.data.division(pool, root)
            given = [_given(division, split) for split in division.totals]
        return ShownRoot(
            periods=f"{root.first} to {root.through}",
            fees=format_amount(root.amount),
            state=root.state,
            adoptable_at=format_time(root.adoptable_at),
            claims_end=format_time(root.until) if root.until else "",
            data=root.data_digest.hex(),
            given=given,
        )


def _given(division: Division, split: int) -> GivenUnits:
    units = division.totals[split]
    what = "reserve" if split == division.rules.reserve_split else "adapters"
    return GivenUnits(split, format_amount(units), what)


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
