"""Pools: one fee for many adapters; what each of them is, and how one is opened."""

from collections.abc import Sequence
from typing import Any

from viz_node.chain.contract.ledger import EntryKind, LedgerEntry
from viz_node.chain.encoding.hashing import pool_terms, split_root
from viz_node.chain.gateway.reader import NOBODY, MarketReader
from viz_node.domain.ids import TokenAmount, format_tokens
from viz_node.domain.pool import Pool, pool_place
from viz_node.domain.royalty import RoyaltySplit
from viz_node.domain.transaction import Call
from viz_node.errors import NotFoundError


class PoolsGateway(MarketReader):
    """Pools, and what each has taken in."""

    def pool(self, number: int) -> Pool:
        """One pool. Raises: NotFoundError."""
        found = self._pools(self._entries(EntryKind.POOL_CREATED, number))
        if not found:
            raise NotFoundError(f"the market has no pool {number}", "viz-node pool list")
        return found[0]

    def pools(self) -> list[Pool]:
        """All pools, oldest first."""
        return self._pools(self._entries(EntryKind.POOL_CREATED))

    def pools_of(self, account: str) -> list[Pool]:
        """The pools that the account runs, oldest first."""
        return self._pools(self._entries(EntryKind.POOL_CREATED, who=account))

    def _pools(self, created: Sequence[LedgerEntry]) -> list[Pool]:
        answers = zip(created, self._views([("pools", (entry.key,)) for entry in created]), strict=True)
        rows: list[list[Any]] = [
            [entry.key, *values[:6], values[7], entry.d, self.pool_place(entry.key)] for entry, values in answers
        ]
        found = [Pool(*row) for row in rows]
        return [pool for pool in found if _is_told_alike(pool)]  # else the block of the entry is gone

    def pool_place(self, number: int) -> str:
        """What documents of the pool are signed for."""
        return pool_place(self.deployment.chain_id, self.deployment.market, number)

    def find_split(self, split: RoyaltySplit) -> int | None:
        """The oldest split with exactly this table; tables never change, so any of them serves."""
        root = split_root(split.shares)
        return next((entry.key for entry in self._entries(EntryKind.SPLIT_CREATED) if entry.d == root), None)

    def pool_income(self, number: int, period: int) -> TokenAmount:
        """Fees that wait in a period."""
        return TokenAmount(self._view("income", number, period)[0])

    def prepare_create_pool(self, challenger: str, fee: TokenAmount, period_seconds: int, rules: bytes) -> Call:
        """Open a pool of which the sender is the operator; `rules` is the digest of its rule of division."""
        description = f"open a pool for {format_tokens(fee)} per period"
        return self._to_market(description, "createPool", challenger, fee, period_seconds, rules)


def _is_told_alike(pool: Pool) -> bool:
    """Whether `terms` is the digest of what is told of the pool."""
    told = pool.operator, pool.challenger, pool.fee, pool.period_seconds, pool.rules
    return pool.operator != NOBODY and pool_terms(*told) == pool.terms
