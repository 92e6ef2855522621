"""How a pool's finished periods are divided: a posted root, its veto, its adoption, and the credits that it gives."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from viz_node.chain.contract.companions import pool_data_of
from viz_node.chain.contract.ledger import EntryKind, LedgerEntry
from viz_node.chain.encoding.hashing import pool_proof, pool_root
from viz_node.chain.gateway.reader import MarketReader
from viz_node.chain.node.rpc import to_int
from viz_node.domain.ids import TokenAmount
from viz_node.domain.pool import ADOPTED, LAPSED, PENDING, VETOED, PoolClaim, PostedRoot
from viz_node.domain.transaction import Call
from viz_node.errors import ChainUnavailableError

_NUMBER = (1 << 64) - 1
_ENDS = {EntryKind.ROOT_VETOED: VETOED, EntryKind.ROOT_ADOPTED: ADOPTED}


class DivisionsGateway(MarketReader):
    """What was posted, adopted, struck out and credited."""

    def posted_roots(self, number: int) -> list[PostedRoot]:
        """All roots that were ever posted, oldest first. Raises: ChainUnavailableError."""
        head = self._head()
        entries = self._entries((EntryKind.ROOT_POSTED, *_ENDS), number, head=head)
        posted = [entry for entry in entries if entry.kind == EntryKind.ROOT_POSTED]
        data = [pool_data_of(log) for log in self._logs("PoolData", number, head)]
        if [(entry.d, entry.c.to_bytes(32, "big")) for entry in posted] != [(item.root, item.digest) for item in data]:
            raise ChainUnavailableError("the chain's endpoint contradicts itself about posted roots", "use another RPC")
        uris, roots = iter(data), list[PostedRoot]()
        for entry in entries:
            if entry.kind == EntryKind.ROOT_POSTED:
                if roots and roots[-1].state == PENDING:  # another is only posted when nobody adopted it in time
                    roots[-1] = replace(roots[-1], state=LAPSED)
                roots.append(_posted(entry, next(uris).uri))
            elif roots:
                until = entry.b if entry.kind == EntryKind.ROOT_ADOPTED else 0
                roots[-1] = replace(roots[-1], state=_ENDS[EntryKind(entry.kind)], until=until)
        if roots and roots[-1].state == PENDING and to_int(head.get("timestamp")) >= roots[-1].lapses_at:
            roots[-1] = replace(roots[-1], state=LAPSED)
        return roots

    def divided(self) -> dict[int, int]:
        """The fees by pool that adopted roots have divided."""
        sums: dict[int, int] = {}
        for entry in self._entries(EntryKind.ROOT_ADOPTED):
            sums[entry.key] = sums.get(entry.key, 0) + entry.a
        return sums

    def root_of(self, totals: Mapping[int, int]) -> bytes:
        """The root over totals by split, of which there is at least one."""
        return pool_root(totals)

    def uncredited(self, claims: Sequence[PoolClaim]) -> list[PoolClaim]:
        """Those of the claims that were not credited yet."""
        views = [("poolCredits", (claim.pool, claim.through, claim.split_id)) for claim in claims]
        return [claim for claim, (units,) in zip(claims, self._views(views), strict=True) if not units]

    def pool_rest(self, number: int, through: int) -> tuple[int, int]:
        """Units that nobody got from the adopted root that ends with a period, and the fees that are to share them."""
        _, left, _, _, fees = self._view("roots", number, through)
        return left, fees

    def prepare_post_root(
        self, number: int, through: int, totals: Mapping[int, int], data_digest: bytes, uri: str
    ) -> Call:
        """Post the root over these totals, which allocates all open periods up to `through`."""
        values = number, through, pool_root(totals), data_digest, uri
        return self._to_market(f"post the division of pool {number} up to period {through}", "postRoot", *values)

    def prepare_veto(self, number: int) -> Call:
        """Strike out the posted root; only the challenger may."""
        return self._to_market(f"veto the posted root of pool {number}", "veto", number)

    def prepare_adopt_root(self, number: int) -> Call:
        """Adopt the posted root after its veto window."""
        return self._to_market(f"adopt the posted root of pool {number}", "adoptRoot", number)

    def prepare_claim_pool(self, claims: Sequence[PoolClaim]) -> Call:
        """Credit splits what adopted roots give them; those that were credited before are passed over."""
        rows = [
            (claim.pool, claim.through, claim.split_id, claim.units, pool_proof(claim.totals, claim.split_id))
            for claim in claims
        ]
        return self._to_market(f"credit {len(rows)} parts of pools", "claimPool", rows)


def _posted(entry: LedgerEntry, uri: str) -> PostedRoot:
    first, through, adoptable_at = entry.b & _NUMBER, entry.b >> 64 & _NUMBER, entry.b >> 128
    digest = entry.c.to_bytes(32, "big")
    return PostedRoot(entry.d, digest, uri, TokenAmount(entry.a), first, through, adoptable_at)
