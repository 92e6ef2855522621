"""What all parties of a catalogue subscription share: rules, memberships, statements and divisions, each verified.

Rules and divisions are named by digests on the chain, memberships and statements are signed: it does not matter which
peer they come from. Kept records: `rules/DIGEST`, `member/POOL/ADAPTER`, `uses/POOL/PERIOD/HOLDER`.
"""

import asyncio
import hashlib
import re
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from viz_node.domain.division import MAX_DIVISION_BYTES, Division, PoolFacts, member_fault, parse_division
from viz_node.domain.ids import Account, PeerId
from viz_node.domain.manifest import canonical_bytes
from viz_node.domain.pool import (
    Pool,
    PoolMember,
    PoolRules,
    PostedRoot,
    UseStatement,
    parse_member,
    parse_row,
    parse_rules,
    parse_statement,
)
from viz_node.domain.transaction import Call
from viz_node.errors import NotFoundError, UnreachableError, VerificationError, VizNodeError
from viz_node.files import write_whole
from viz_node.ports.money import Quotes
from viz_node.ports.network import Transfer
from viz_node.ports.pools import PoolReading
from viz_node.ports.state import Store
from viz_node.services.market.announcements import Announcements
from viz_node.services.market.check_signature import Signatures

RULES_METHOD = "pool-rules"
MEMBERS_METHOD = "pool-members"
JOIN_METHOD = "pool-join"
USES_METHOD = "pool-uses"
STATEMENTS_METHOD = "pool-statements"

WEI_PER_COIN = 10**18
_MOST_ASKED, _ASK_AGAIN_SECONDS = 8, 20
_PAGE_BYTES = 512 * 1024
_MOST_PAGES = 32
_URI = re.compile(r"viz-blob:([0-9a-f]{64}):([1-9][0-9]{0,7})")


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
class PoolPeers:
    """This peer, the others, and what is known of them."""

    peer_id: PeerId
    network: Transfer
    announcements: Announcements


@dataclass(frozen=True)
class PoolChain:
    """What the chain says of pools, and what gas costs; `coin_price` is that of a coin, in units of the token."""

    market: PoolReading
    quotes: Quotes
    coin_price: int = 0


class PoolDesk:
    """The documents of pools, as this node has verified them; its files are in `directory`."""

    def __init__(
        self,
        store: Store,
        peers: PoolPeers,
        chain: PoolChain,
        signatures: Signatures,
        directory: Path,
        clock: Callable[[], int],
    ) -> None:
        self.signatures = signatures
        self.clock = clock
        self.peer_id = peers.peer_id
        self._store = store
        self._peers = peers
        self._chain = chain
        self._directory = directory
        self._asked_at: dict[bytes, int] = {}

    async def pool(self, number: int) -> Pool:
        """A pool of the market. Raises: NotFoundError, ChainUnavailableError."""
        if not 0 < number < 1 << 64:
            raise NotFoundError(f"{number} is not the number of a pool", "viz-node pool list")
        return await asyncio.to_thread(self._chain.market.pool, number)

    async def now(self) -> int:
        """The chain's clock."""
        return await asyncio.to_thread(self._chain.market.block_time)

    async def costs(self, call: Call) -> int:
        """What the call's gas is worth, in units of the payment token. Raises: as `Treasury.quote_wei`."""
        return await self._chain.quotes.quote_wei(call) * self._chain.coin_price // WEI_PER_COIN

    # Rules.

    def keep_rules(self, rules: PoolRules) -> None:
        """Remember rules, and answer who asks for them."""
        self._store.save_pool_record(f"rules/{rules.digest().hex()}", {"text": rules.payload().decode()})

    async def rules(self, pool: Pool) -> PoolRules:
        """The rules with the chain's digest, from the store or any peer that has them. Raises: NotFoundError."""
        digest, known = pool.rules.hex(), self.known_rules(pool)
        if known is not None:
            return known
        for peer_id, addresses in (await self._who_may_know(digest)).items():
            try:
                raw = await self._peers.network.request(peer_id, RULES_METHOD, digest.encode(), addresses=addresses)
                if hashlib.sha256(raw).digest() == pool.rules:
                    self.keep_rules(parse_rules(raw))
                    return parse_rules(raw)
            except VizNodeError:  # another may answer
                continue
        raise NotFoundError(
            f"no peer has the rules of pool {pool.number}", "connect to its operator's node; see viz-node peers"
        )

    def known_rules(self, pool: Pool) -> PoolRules | None:
        """The rules, if they are here."""
        record = self._store.find_pool_record(f"rules/{pool.rules.hex()}")
        return None if record is None else parse_rules(record["text"].encode())

    async def ask_for_rules(self, pools: Iterable[Pool]) -> None:
        """Get rules that are not here; of a few pools at a time, because anybody may open pools of which none exist."""
        due = self.clock() - _ASK_AGAIN_SECONDS
        unknown = {pool.rules: pool for pool in pools if self.known_rules(pool) is None}
        for digest in sorted(unknown, key=lambda digest: self._asked_at.get(digest, 0))[:_MOST_ASKED]:
            if self._asked_at.get(digest, 0) <= due:
                self._asked_at[digest] = self.clock()
                with suppress(NotFoundError):
                    await self.rules(unknown[digest])

    async def provide(self, rules: PoolRules) -> None:
        """Tell the network that the rules are here."""
        await self._peers.network.provide(rules.digest().hex())

    async def on_rules(self, peer_id: PeerId, payload: bytes) -> bytes:
        """A peer asks for rules by their digest."""
        record = self._store.find_pool_record(f"rules/{payload.decode('ascii', 'replace')}")
        if record is None:
            raise NotFoundError("no such rules here")
        return str(record["text"]).encode()

    async def _who_may_know(self, digest: str) -> dict[PeerId, tuple[str, ...]]:
        try:
            found = {
                peer_id: self.addresses_of(peer_id) for peer_id in await self._peers.network.find_providers(digest)
            }
        except UnreachableError:
            found = {}
        return found | {item.peer_id: item.addresses for item in self._announced() if item.peer_id not in found}

    def addresses_of(self, peer_id: PeerId) -> tuple[str, ...]:
        """Where the peer said that it can be reached, if it announced an adapter."""
        return next((item.addresses for item in self._announced() if item.peer_id == peer_id), ())

    def _announced(self) -> list[Any]:
        return [item for item in self._peers.announcements.living() if item.peer_id != self.peer_id]

    async def ask(self, peer_id: PeerId, method: str, body: Mapping[str, Any]) -> bytes:
        """One request to a party of a pool. Raises: as `PeerNetwork.request`."""
        payload = canonical_bytes(body)
        return await self._peers.network.request(peer_id, method, payload, addresses=self.addresses_of(peer_id))

    # Memberships and statements.

    def members(self, pool: Pool) -> list[PoolMember]:
        """The memberships that this node knows, each verified when it was taken in."""
        records = self._store.pool_records_with(f"member/{pool.number}/")
        return [parse_member(record["row"], pool.place) for record in records.values()]

    def statements(self, pool: Pool, periods: Sequence[int]) -> list[UseStatement]:
        """The statements of these periods that this node knows, each verified when it was taken in."""
        records = [self._store.pool_records_with(f"uses/{pool.number}/{period}/") for period in periods]
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
        self._store.save_pool_record(key, {"row": member.row()})
        return member

    def keep_statement(self, pool: Pool, statement: UseStatement) -> None:
        """Remember a verified statement; the newest of a subscriber counts."""
        key = f"uses/{pool.number}/{statement.period}/{statement.holder}"
        self._store.save_pool_record(key, {"row": statement.row()})

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

    def parties(self, rules: PoolRules) -> list[PeerId]:
        """The peers of operator and challenger, without this one."""
        return [peer for peer in (rules.operator_peer, rules.challenger_peer) if peer != self.peer_id]

    async def on_members(self, peer_id: PeerId, payload: bytes) -> bytes:
        """A peer asks for a page of memberships."""
        body = parse_row(payload)
        number = body.get("pool")
        records = self._store.pool_records_with(f"member/{number}/") if type(number) is int else {}
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

    def has_data(self, posted: PostedRoot) -> bool:
        """Whether the data behind a root is here."""
        return self.path_of(posted.data_digest).exists()

    async def division(self, pool: Pool, posted: PostedRoot) -> Division:
        """The published data behind a root, by its digest; its root is the posted one.

        Raises: VerificationError (it is not that), UnreachableError, NotFoundError (the rules).
        """
        path = self.path_of(posted.data_digest)
        if not path.exists():
            await self._fetch(pool, posted, path)
        raw = await asyncio.to_thread(path.read_bytes)
        division = await asyncio.to_thread(parse_division, raw)
        if not division.totals or self._chain.market.root_of(division.totals) != posted.root:
            raise VerificationError(f"the data of pool {pool.number} has another root than the posted one")
        return division

    async def publish(self, division: Division) -> tuple[bytes, str]:
        """Keep and serve a division; its digest, and where it is."""
        raw = division.payload()
        digest = hashlib.sha256(raw).digest()
        path = self.path_of(digest)
        if not path.exists():
            await asyncio.to_thread(write_whole, path, raw)
        return digest, f"viz-blob:{await self._serve(path)}:{len(raw)}"

    async def serve_divisions(self) -> None:
        """Serve again what was published or fetched: the network forgets."""
        for path in sorted(self._directory.glob("*.json")):
            await self._serve(path)
        for key in self._store.pool_records_with("rules/"):
            await self._peers.network.provide(key.removeprefix("rules/"))

    def path_of(self, digest: bytes) -> Path:
        """The file of a division; it is there only when its content has the digest."""
        return self._directory / f"{digest.hex()}.json"

    async def _serve(self, path: Path) -> str:
        blob_id = await self._peers.network.share(path)
        await self._peers.network.provide(blob_id)
        return blob_id

    async def _fetch(self, pool: Pool, posted: PostedRoot, path: Path) -> None:
        match = _URI.fullmatch(posted.uri)
        if match is None or int(match[2]) > MAX_DIVISION_BYTES:
            raise VerificationError(f"the data of pool {pool.number} is at {posted.uri[:80]!r}, which is no blob")
        rules, providers = await self.rules(pool), await self._peers.network.find_providers(match[1])
        peers = list(dict.fromkeys([*self.parties(rules), *providers]))
        partial = path.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        await self._peers.network.fetch(match[1], int(match[2]), peers, partial)
        raw = await asyncio.to_thread(partial.read_bytes)
        if hashlib.sha256(raw).digest() != posted.data_digest:
            partial.unlink()
            raise VerificationError(f"the data of pool {pool.number} has another digest than the chain says")
        await asyncio.to_thread(partial.replace, path)
        await self._serve(path)


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
