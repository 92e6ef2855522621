"""What all parties of a catalogue subscription share: rules, memberships, statements and divisions, each verified.

Rules and divisions are named by digests on the chain, memberships and statements are signed: it does not matter which
peer they come from. Kept records: `member/POOL/ADAPTER`, `uses/POOL/PERIOD/HOLDER`.
"""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, TypeVar

from viz_node.domain.division import PoolFacts, member_fault
from viz_node.domain.ids import Account, PeerId
from viz_node.domain.manifest import canonical_bytes
from viz_node.domain.pool import (
    Pool,
    PoolMember,
    PoolRules,
    UseStatement,
    parse_member,
    parse_row,
    parse_statement,
)
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
        """What the call's gas is worth, in units of the payment token. Raises: as `Quotes.quote_wei`."""
        return await self._chain.quotes.quote_wei(call) * self._chain.coin_price // WEI_PER_COIN

    # Memberships and statements.

    def members(self, pool: Pool) -> list[PoolMember]:
        """The memberships that this node knows, each verified when it was taken in."""
        records = self._records.pool_records_with(f"member/{pool.number}/")
        return [parse_member(record["row"], pool.place) for record in records.values()]

    def statements(self, pool: Pool, periods: Sequence[int]) -> list[UseStatement]:
        """The statements of these periods that this node knows, each verified when it was taken in."""
        records = [self._records.pool_records_with(f"uses/{pool.number}/{period}/") for period in periods]
        return [parse_statement(row["row"], pool.place) for found in records for row in found.values()]

    async def take_member(self, pool: Pool, body: Any) -> PoolMember:
        """Verify and keep a membership. Raises: VerificationError, ChainUnavailableError."""
        member = parse_member(body, pool.place)
        fault = await asyncio.to_thread(
            member_fault, member, self._facts(pool, (0, 0), {}), self.signatures.is_signed_now
        )
        if fault:
            raise VerificationError(fault)
        key = f"member/{pool.number}/{member.adapter}"
        self._records.save_pool_record(key, {"row": member.row()})
        return member

    def keep_statement(self, pool: Pool, statement: UseStatement) -> None:
        """Remember a verified statement; the newest of a subscriber counts."""
        key = f"uses/{pool.number}/{statement.period}/{statement.holder}"
        self._records.save_pool_record(key, {"row": statement.row()})

    async def refresh_members(self, pool: Pool, rules: PoolRules) -> list[PoolMember]:
        """The memberships, with those that operator or challenger know besides. Raises: ChainUnavailableError."""
        known = {member.adapter for member in self.members(pool)}
        for peer_id in self.parties(rules):
            try:
                rows = await self.rows(peer_id, MEMBERS_METHOD, {"pool": pool.number})
            except VizNodeError:  # the other may answer
                continue
            for row in rows:
                if isinstance(row, dict) and row.get("adapter") not in known:
                    with suppress(VerificationError):  # the others count all the same
                        known.add((await self.take_member(pool, row)).adapter)
        return self.members(pool)

    async def on_members(self, peer_id: PeerId, payload: bytes) -> bytes:
        """A peer asks for a page of memberships."""
        body = parse_row(payload)
        number = body.get("pool")
        records = self._records.pool_records_with(f"member/{number}/") if type(number) is int else {}
        return page_of([record["row"] for record in records.values()], body.get("after"))

    async def rows(self, peer_id: PeerId, method: str, body: Mapping[str, Any]) -> list[Any]:
        """All rows that a peer has to tell, page by page. Raises: VerificationError, UnreachableError."""
        rows: list[Any] = []
        for _ in range(_MOST_PAGES):
            answer = _page(await self.ask(peer_id, method, {**body, "after": len(rows)}))
            rows += answer["rows"]
            if not answer["more"] or not answer["rows"]:
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


def page_of(rows: Sequence[Any], after: Any) -> bytes:
    """A page of rows from a position on, as it travels. Raises: VerificationError."""
    if type(after) is not int or after < 0:
        raise VerificationError("the request for rows is malformed")
    page, size = [], 0
    for row in rows[after:]:
        size += len(canonical_bytes(row))
        if size > _PAGE_BYTES:
            break
        page.append(row)
    return canonical_bytes({"rows": page, "more": after + len(page) < len(rows)})


def _page(raw: bytes) -> dict[str, Any]:
    body = parse_row(raw, 1024 * 1024)
    if not isinstance(body.get("rows"), list) or type(body.get("more")) is not bool:
        raise VerificationError("the peer's rows are malformed")
    return body
