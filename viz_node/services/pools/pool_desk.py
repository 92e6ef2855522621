"""What all parties of a catalogue subscription share: rules, memberships, statements and divisions, each verified.

Rules and divisions are named by digests on the chain, memberships and statements are signed: it does not matter which
peer they come from.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

from viz_node.domain.answer import as_json
from viz_node.domain.division import PoolFacts, member_fault
from viz_node.domain.ids import Account, PeerId
from viz_node.domain.manifest import canonical_bytes
from viz_node.domain.pool import (
    MemberRow,
    Pool,
    PoolMember,
    PoolRules,
    StatementRow,
    UseStatement,
    parse_member,
    parse_row,
)
from viz_node.domain.pool_records import MEMBER, USES, MemberRecord, UsesRecord
from viz_node.domain.transaction import Call
from viz_node.errors import NotFoundError, VerificationError, VizNodeError
from viz_node.ports.money import Quotes
from viz_node.ports.pools import PoolReading
from viz_node.ports.state import PoolRecords
from viz_node.services.market.check_signature import Signatures
from viz_node.services.pools.division_data import DivisionData
from viz_node.services.pools.pool_peers import PoolPeers
from viz_node.services.pools.rule_book import RuleBook

MEMBERS_METHOD = "pool-members"
JOIN_METHOD = "pool-join"
USES_METHOD = "pool-uses"
STATEMENTS_METHOD = "pool-statements"

WEI_PER_COIN = 10**18
_PAGE_BYTES = 512 * 1024
_MOST_PAGES = 32


Item = TypeVar("Item")


async def for_each(items: Iterable[Item], act: Callable[[Item], Awaitable[object]]) -> None:
    """Act on every item; one that fails, which anybody may have made to fail, keeps no other one waiting.

    Raises: VizNodeError, the first one, after the last item.
    """
    failures = []
    for item in items:
        try:
            await act(item)
        except VizNodeError as error:
            failures.append(error)
    if failures:
        raise failures[0]


@dataclass(frozen=True)
class MembersQuestion:
    """What a peer is asked for: the memberships of a pool that it knows, from a position on."""

    pool: int
    after: int = 0


@dataclass(frozen=True)
class StatementsQuestion(MembersQuestion):
    """What a challenger is asked for: the statements of periods."""

    first: int = 0
    through: int = 0


@dataclass(frozen=True)
class Told:
    """What a party of a pool is told: a membership or a statement."""

    pool: int
    row: MemberRow | StatementRow


@dataclass(frozen=True)
class _Page:
    rows: list[object]
    more: bool


@dataclass(frozen=True)
class PoolChain:
    """What the chain says of pools, and what gas costs; `coin_price` is that of a coin, in units of the token."""

    market: PoolReading
    quotes: Quotes
    coin_price: int = 0


class PoolDesk:
    """The documents of pools, as this node has verified them."""

    def __init__(
        self,
        records: PoolRecords,
        peers: PoolPeers,
        chain: PoolChain,
        signatures: Signatures,
        rule_book: RuleBook,
        data: DivisionData,
    ) -> None:
        self.signatures = signatures
        self.rule_book = rule_book
        self.data = data
        self.clock = peers.clock
        self.peer_id = peers.peer_id
        self.ask = peers.ask
        self.parties = peers.parties
        self._records = records
        self._peers = peers
        self._chain = chain

    async def pool(self, number: int) -> Pool:
        """A pool of the market. Raises: NotFoundError, ChainUnavailableError."""
        if not 0 < number < 1 << 64:
            raise NotFoundError(f"{number} is not the number of a pool", "viz-node pool list")
        return await asyncio.to_thread(self._chain.market.pool, number)

    async def now(self) -> int:
        """The chain's clock."""
        return await asyncio.to_thread(self._chain.market.block_time)

    async def costs(self, call: Call) -> int:
        """What the call's gas is worth, in units of the payment token.

        Raises: TransactionRevertedError, ChainUnavailableError.
        """
        return await self._chain.quotes.quote_wei(call) * self._chain.coin_price // WEI_PER_COIN

    # Memberships and statements.

    def members(self, pool: Pool) -> list[PoolMember]:
        """The memberships that this node knows, each verified when it was taken in."""
        records = self._records.pool_records_with(f"{MEMBER}{pool.number}/", MemberRecord)
        return [record.row.member(pool.place) for record in records.values()]

    def statements(self, pool: Pool, periods: Sequence[int]) -> list[UseStatement]:
        """The statements of these periods that this node knows, each verified when it was taken in."""
        prefixes = [f"{USES}{pool.number}/{period}/" for period in periods]
        found = [self._records.pool_records_with(prefix, UsesRecord) for prefix in prefixes]
        return [record.row.statement(pool.place) for records in found for record in records.values()]

    async def take_member(self, pool: Pool, body: object) -> PoolMember:
        """Verify and keep a membership. Raises: VerificationError, ChainUnavailableError."""
        member = parse_member(body, pool.place)
        fault = await asyncio.to_thread(
            member_fault, member, self._facts(pool, (0, 0), {}), self.signatures.is_signed_now
        )
        if fault:
            raise VerificationError(fault)
        self._records.save_pool_record(f"{MEMBER}{pool.number}/{member.adapter}", MemberRecord(member.row()))
        return member

    def keep_statement(self, pool: Pool, statement: UseStatement) -> None:
        """Remember a verified statement; the newest of a subscriber counts."""
        key = f"{USES}{pool.number}/{statement.period}/{statement.holder}"
        self._records.save_pool_record(key, UsesRecord(statement.row()))

    async def refresh_members(self, pool: Pool, rules: PoolRules) -> list[PoolMember]:
        """The memberships, with those that operator or challenger know besides. Raises: ChainUnavailableError."""
        known = {member.adapter for member in self.members(pool)}
        for peer_id in self.parties(rules):
            try:
                rows = await self.rows(peer_id, MEMBERS_METHOD, MembersQuestion(pool.number))
            except VizNodeError:  # the other may answer
                continue
            for row in rows:
                if isinstance(row, dict) and row.get("adapter") not in known:
                    with suppress(VerificationError):  # the others still count
                        known.add((await self.take_member(pool, row)).adapter)
        return self.members(pool)

    async def on_members(self, peer_id: PeerId, payload: bytes) -> bytes:
        """A peer asks for a page of memberships."""
        body = parse_row(payload)
        number = body.get("pool")
        prefix = f"{MEMBER}{number}/"
        records = self._records.pool_records_with(prefix, MemberRecord) if type(number) is int else {}
        return page_of([record.row for record in records.values()], body.get("after"))

    async def rows(self, peer_id: PeerId, method: str, question: MembersQuestion) -> list[object]:
        """All rows that a peer has to tell, page by page. Raises: VerificationError, UnreachableError."""
        rows: list[object] = []
        for _ in range(_MOST_PAGES):
            answer = _parse_page(await self.ask(peer_id, method, replace(question, after=len(rows))))
            rows += answer.rows
            if not answer.more or not answer.rows:
                break
        return rows

    # Divisions.

    async def serve_divisions(self) -> None:
        """Serve again what was published or fetched: the network forgets."""
        await self.data.serve()
        await self.rule_book.provide_all()

    async def facts(self, pool: Pool, first: int, through: int) -> PoolFacts:
        """What the chain says of these periods. Raises: ChainUnavailableError."""
        subscribers = await asyncio.to_thread(self._chain.market.subscribers_of, pool.number, first, through)
        return self._facts(pool, (first, through), subscribers)

    def _facts(self, pool: Pool, periods: tuple[int, int], subscribers: Mapping[int, Sequence[Account]]) -> PoolFacts:
        return PoolFacts(pool.place, pool.rules, pool.fee, periods, subscribers, self._has_offer)

    def _has_offer(self, adapter: int, account: Account, split_id: int) -> bool:
        market = self._chain.market
        try:
            is_owner = market.adapter(adapter).owner == account
        except NotFoundError:
            return False
        return is_owner and any(offer.split_id == split_id for offer in market.offers_of(adapter))


def page_of(rows: Sequence[object], after: object) -> bytes:
    """A page of rows from a position on, as it travels. Raises: VerificationError."""
    if type(after) is not int or after < 0:
        raise VerificationError("the request for rows is malformed")
    page: list[object] = []
    size = 0
    for row in as_json(rows[after:]):
        size += len(canonical_bytes(row))
        if size > _PAGE_BYTES:
            break
        page.append(row)
    return canonical_bytes(asdict(_Page(page, after + len(page) < len(rows))))


def _parse_page(raw: bytes) -> _Page:
    body = parse_row(raw, 1024 * 1024)
    rows, more = body.get("rows"), body.get("more")
    if not isinstance(rows, list) or not isinstance(more, bool):
        raise VerificationError("the peer's rows are malformed")
    return _Page(rows, more)
