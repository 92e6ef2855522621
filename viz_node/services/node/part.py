"""The node's own part: what it is, and how it does."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from viz_node.domain.health import Check, sentences
from viz_node.domain.held_model import HeldModel
from viz_node.domain.ids import Account, PeerId, format_amount
from viz_node.domain.job import JobState
from viz_node.domain.option import ShownOption
from viz_node.domain.peer_address import Neighbour
from viz_node.errors import UnreachableError
from viz_node.ports.keys import Keys
from viz_node.ports.node import Neighbours, Purse
from viz_node.ports.state import WithAdapters, WithJobs, WithWorks


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
    check_health: Callable[[list[Neighbour]], list[Check]]
    """Every check of the doctor; takes the peers, and blocks."""
    find_unwell: Callable[[], list[Check]]
    held_model: Callable[[], HeldModel | None]
    """The model that waits in memory for the next prompt."""
    describe_config: Callable[[], list[ShownOption]]


@dataclass(frozen=True)
class Identity:
    """Who the node is, and where peers find it."""

    peer_id: PeerId
    account: Account
    addresses: list[str]


@dataclass(frozen=True)
class ChainStatus:
    """The chain, and whether it answers: its latest block, or why not."""

    rpc_url: str
    chain_id: int
    market: str
    ok: bool
    block: int | None
    error: str


@dataclass(frozen=True)
class ShownBalances:
    """What the account has, for people; `unknown` while the chain does not answer."""

    token: str
    gas: str


@dataclass(frozen=True)
class Counts:
    """What the node has: works, adapters, jobs that are not over, and peers with a connection."""

    works: int
    adapters: int
    jobs: int
    peers: int


@dataclass(frozen=True)
class NodeStatus(Identity):
    """The node at a glance; `problems` keep it from its work, `warnings` limit it."""

    version: str
    dashboard: str
    chain: ChainStatus
    balances: ShownBalances
    counts: Counts
    started: int
    home: str
    problems: list[str]
    warnings: list[str]
    model: HeldModel | None


class NodeState(WithWorks, WithAdapters, WithJobs, Protocol):
    """What the node counts."""


class NodeOperations:
    """What people ask of the node as a whole."""

    def __init__(
        self, store: NodeState, keys: Keys, network: Neighbours, market: Purse, facts: NodeFacts, views: Views
    ) -> None:
        self._store, self._keys, self._network, self._market = store, keys, network, market
        self._facts, self._views = facts, views

    async def status(self) -> NodeStatus:
        """The node at a glance; a chain that is down is a fact, not an error."""
        facts, found = self._facts, sentences(self._views.find_unwell())
        chain, balances = await self._ask_chain()
        return NodeStatus(
            peer_id=self._keys.peer_id,
            account=self._keys.account,
            addresses=self._network.addresses,
            version=facts.version,
            dashboard=self._views.dashboard(),
            chain=chain,
            balances=balances,
            counts=await self._count(),
            started=facts.started,
            home=facts.home,
            problems=found.problems,
            warnings=found.warnings,
            model=self._views.held_model(),
        )

    async def _ask_chain(self) -> tuple[ChainStatus, ShownBalances]:
        chain = partial(ChainStatus, self._facts.rpc_url, self._facts.chain_id, self._facts.market)
        try:
            balances = await asyncio.to_thread(self._market.balances, self._keys.account)
            block = await asyncio.to_thread(self._market.block_number)
        except UnreachableError as error:
            return chain(False, None, error.message), ShownBalances("unknown", "unknown")
        shown = ShownBalances(format_amount(balances.token), f"{balances.gas_wei / 10**18:.4f}")
        return chain(True, block, ""), shown

    async def _count(self) -> Counts:
        open_states = {JobState.QUEUED, JobState.RUNNING}
        return Counts(
            works=len(self._store.works.list_works()),
            adapters=len(self._store.adapters.list_adapters()),
            jobs=sum(job.state in open_states for job in self._store.jobs.list_jobs()),
            peers=sum(peer.connected for peer in await self._network.peers()),
        )

    async def id(self) -> Identity:
        """Peer id, account, addresses."""
        return Identity(self._keys.peer_id, self._keys.account, self._network.addresses)

    async def doctor(self) -> list[Check]:
        """What the node needs, each failure with its fix."""
        return await asyncio.to_thread(self._views.check_health, await self.peers())

    async def config(self) -> list[ShownOption]:
        """Each option with its value and where that comes from."""
        return self._views.describe_config()

    async def peers(self) -> list[Neighbour]:
        """Other nodes that this one knows."""
        return await self._network.peers()
