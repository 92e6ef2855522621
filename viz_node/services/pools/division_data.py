"""The data behind posted roots: fetched or published, verified, and served; one file by digest."""

import asyncio
import hashlib
import re
from pathlib import Path

from viz_node.domain.division import MAX_DIVISION_BYTES, Division, parse_division
from viz_node.domain.pool import (
    Pool,
    PostedRoot,
)
from viz_node.errors import VerificationError
from viz_node.files import write_whole
from viz_node.ports.pools import PoolReading
from viz_node.services.pools.pool_peers import PoolPeers
from viz_node.services.pools.rule_book import RuleBook

_URI = re.compile(r"viz-blob:([0-9a-f]{64}):([1-9][0-9]{0,7})")


class DivisionData:
    """Divisions, each in a file of `directory` that is there only when its content has its digest."""

    def __init__(self, market: PoolReading, rule_book: RuleBook, peers: PoolPeers, directory: Path) -> None:
        self._market = market
        self._rule_book = rule_book
        self._peers = peers
        self._directory = directory

    def has(self, posted: PostedRoot) -> bool:
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
        if not division.totals or self._market.root_of(division.totals) != posted.root:
            raise VerificationError(f"the data of pool {pool.number} does not match its posted root")
        return division

    async def serve(self) -> None:
        """Serve again what was published or fetched: the network forgets."""
        for path in sorted(self._directory.glob("*.json")):
            await self._serve(path)

    async def publish(self, division: Division) -> tuple[bytes, str]:
        """Keep and serve a division; its digest, and where it is."""
        raw = division.payload()
        digest = hashlib.sha256(raw).digest()
        path = self.path_of(digest)
        if not path.exists():
            await asyncio.to_thread(write_whole, path, raw)
        return digest, f"viz-blob:{await self._serve(path)}:{len(raw)}"

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
            raise VerificationError(f"the data of pool {pool.number} is at {posted.uri[:80]!r}, which is not a blob")
        rules, providers = await self._rule_book.of(pool), await self._peers.network.find_providers(match[1])
        peers = list(dict.fromkeys([*self._peers.parties(rules), *providers]))
        partial = path.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        await self._peers.network.fetch(match[1], int(match[2]), peers, partial)
        raw = await asyncio.to_thread(partial.read_bytes)
        if hashlib.sha256(raw).digest() != posted.data_digest:
            partial.unlink()
            raise VerificationError(f"the data of pool {pool.number} does not match its digest on the chain")
        await asyncio.to_thread(partial.replace, path)
        await self._serve(path)
