"""The node's own part: what it is, and how it does."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from viz_node.domain.health import Check, sentences
from viz_node.domain.ids import format_amount
from viz_node.errors import UnreachableError
from viz_node.ports.keys import Keys
from viz_node.ports.node import Neighbours, Purse
from viz_node.ports.state import WithAdapters, WithJobs, WithWorks
from viz_node.services.part import Answer, Rows


@dataclass(frozen=True)
class NodeFacts:
    """What does not change while the node runs; `started` in Unix seconds."""

    version: str
    home: str
    started: int
    rpc_url: str
    chain_id: int
    market: str
    is_test_chain: bool


@dataclass(frozen=True)
class Views:
    """What the composition root tells of the node: each answers at once, or says in its docstring that it may block."""

    dashboard: Callable[[], str]
    """A login link."""
    check_health: Callable[[Rows], Rows]
    """Every check of the doctor; takes the peers' rows, and blocks."""
    find_unwell: Callable[[], list[Check]]
    describe_config: Callable[[], Rows]


class NodeState(WithWorks, WithAdapters, WithJobs, Protocol):
    """What the node counts."""


class NodeOperations:
    """What people ask of the node as a whole."""

    def __init__(
        self, store: NodeState, keys: Keys, network: Neighbours, market: Purse, facts: NodeFacts, views: Views
    ) -> None:
        self._store, self._keys, self._network, self._market = store, keys, network, market
        self._facts, self._views = facts, views

    async def status(self) -> Answer:
        """The node at a glance; a chain that is down is a fact, not an error."""
        facts = self._facts
        chain: Answer = {"rpc_url": facts.rpc_url, "chain_id": facts.chain_id, "market": facts.market}
        try:
            balances = await asyncio.to_thread(self._market.balances, self._keys.account)
            block = await asyncio.to_thread(self._market.block_number)
            chain |= {"ok": True, "block": block, "error": ""}
            money = {"token": format_amount(balances.token), "gas": f"{balances.gas_wei / 10**18:.4f}"}
        except UnreachableError as error:
            chain |= {"ok": False, "block": None, "error": error.message}
            money = {"token": "unknown", "gas": "unknown"}
        counts = {
            "works": len(self._store.works.list_works()),
            "adapters": len(self._store.adapters.list_adapters()),
            "jobs": sum(job.state in {"queued", "running"} for job in self._store.jobs.list_jobs()),
            "peers": sum(bool(peer["connected"]) for peer in await self._network.peers()),
        }
        identity = await self.id()
        return identity | {
            "version": facts.version, "dashboard": self._views.dashboard(), "chain": chain, "balances": money,
            "counts": counts, "started": facts.started, "home": facts.home,
            **sentences(self._views.find_unwell()),
        }  # fmt: skip

    async def id(self) -> Answer:
        """Peer id, account, addresses."""
        return {
            "peer_id": self._keys.peer_id,
            "account": self._keys.account,
            "addresses": self._network.addresses,
        }

    async def doctor(self) -> Rows:
        """What the node needs, each failure with its fix."""
        return await asyncio.to_thread(self._views.check_health, await self.peers())

    async def config(self) -> Rows:
        """Each option with its value and where that comes from."""
        return self._views.describe_config()

    async def peers(self) -> Rows:
        """Other nodes that this one knows."""
        return list(await self._network.peers())
