"""The parties of a pool as peers: who they are, where they may be, and asking them."""

from collections.abc import Callable
from dataclasses import dataclass

from viz_node.domain.announcement import Announcement
from viz_node.domain.answer import as_json
from viz_node.domain.ids import PeerId
from viz_node.domain.manifest import canonical_bytes
from viz_node.domain.pool import (
    PoolRules,
)
from viz_node.errors import UnreachableError
from viz_node.ports.network import Transfer
from viz_node.services.market.announcements import Announcements


@dataclass(frozen=True)
class PoolPeers:
    """This peer and its clock, the others, and what is known of them."""

    peer_id: PeerId
    network: Transfer
    announcements: Announcements
    clock: Callable[[], int]

    async def ask(self, peer_id: PeerId, method: str, question: object) -> bytes:
        """One request, a record, to a party of a pool. Raises: UnreachableError, and the error that it answers."""
        payload = canonical_bytes(as_json(question))
        return await self.network.request(peer_id, method, payload, addresses=self.addresses_of(peer_id))

    def parties(self, rules: PoolRules) -> list[PeerId]:
        """The peers of operator and challenger, without this one."""
        return [peer for peer in (rules.operator_peer, rules.challenger_peer) if peer != self.peer_id]

    async def who_may_know(self, digest: str) -> dict[PeerId, tuple[str, ...]]:
        """Peers that say they have it, and those that announced adapters; with their addresses, where known."""
        try:
            found = {peer_id: self.addresses_of(peer_id) for peer_id in await self.network.find_providers(digest)}
        except UnreachableError:
            found = {}
        return found | {item.peer_id: item.addresses for item in self._announced() if item.peer_id not in found}

    def addresses_of(self, peer_id: PeerId) -> tuple[str, ...]:
        """Where the peer said that it can be reached, if it announced an adapter."""
        return next((item.addresses for item in self._announced() if item.peer_id == peer_id), ())

    def _announced(self) -> list[Announcement]:
        return [item for item in self.announcements.living() if item.peer_id != self.peer_id]
