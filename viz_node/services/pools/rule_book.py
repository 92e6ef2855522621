"""The rules of pools, named by their digests on the chain."""

import hashlib
from collections.abc import Iterable
from contextlib import suppress

from viz_node.domain.ids import PeerId
from viz_node.domain.pool import (
    Pool,
    PoolRules,
    parse_rules,
)
from viz_node.domain.pool_records import RULES, RulesRecord
from viz_node.errors import NotFoundError, VizNodeError
from viz_node.ports.state import PoolRecords
from viz_node.services.pools.pool_peers import PoolPeers

RULES_METHOD = "pool-rules"
_MOST_ASKED, _ASK_AGAIN_SECONDS = 8, 20


class RuleBook:
    """Rules that this node has, and those that its peers have."""

    def __init__(self, records: PoolRecords, peers: PoolPeers) -> None:
        self._records = records
        self._peers = peers
        self._asked_at: dict[bytes, int] = {}

    def keep(self, rules: PoolRules) -> None:
        """Remember rules, and answer who asks for them."""
        self._records.save_pool_record(f"{RULES}{rules.digest().hex()}", RulesRecord(rules.payload().decode()))

    async def of(self, pool: Pool) -> PoolRules:
        """The rules with the chain's digest, from the store or any peer that has them. Raises: NotFoundError."""
        digest, known = pool.rules.hex(), self.known(pool)
        if known is not None:
            return known
        for peer_id, addresses in (await self._peers.who_may_know(digest)).items():
            try:
                raw = await self._peers.network.request(peer_id, RULES_METHOD, digest.encode(), addresses=addresses)
                if hashlib.sha256(raw).digest() == pool.rules:
                    self.keep(parse_rules(raw))
                    return parse_rules(raw)
            except VizNodeError:  # another may answer
                continue
        raise NotFoundError(
            f"no peer has the rules of pool {pool.number}", "connect to its operator's node; see viz-node peers"
        )

    def known(self, pool: Pool) -> PoolRules | None:
        """The rules, if they are here."""
        record = self._records.find_pool_record(f"{RULES}{pool.rules.hex()}", RulesRecord)
        return None if record is None else parse_rules(record.text.encode())

    async def ask_for(self, pools: Iterable[Pool]) -> None:
        """Get rules that are not here; of a few pools at a time, because anybody may open pools of which none exist."""
        due = self._peers.clock() - _ASK_AGAIN_SECONDS
        unknown = {pool.rules: pool for pool in pools if self.known(pool) is None}
        for digest in sorted(unknown, key=lambda digest: self._asked_at.get(digest, 0))[:_MOST_ASKED]:
            if self._asked_at.get(digest, 0) <= due:
                self._asked_at[digest] = self._peers.clock()
                with suppress(NotFoundError):
                    await self.of(unknown[digest])

    async def provide(self, rules: PoolRules) -> None:
        """Tell the network that the rules are here."""
        await self._peers.network.provide(rules.digest().hex())

    async def on_rules(self, peer_id: PeerId, payload: bytes) -> bytes:
        """A peer asks for rules by their digest."""
        record = self._records.find_pool_record(f"{RULES}{payload.decode('ascii', 'replace')}", RulesRecord)
        if record is None:
            raise NotFoundError("no such rules here")
        return record.text.encode()

    async def provide_all(self) -> None:
        """Tell the network again what is here: it forgets."""
        for key in self._records.pool_records_with(RULES, RulesRecord):
            await self._peers.network.provide(key.removeprefix(RULES))
