"""Nodes made of the real services on the fakes; a node can be killed at any call of a port and started again."""

import asyncio
import hashlib
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import fields
from functools import cache
from pathlib import Path
from typing import Any

from tests.bases import listed_sources
from tests.fakes.chain import MemoryChain, MemoryMarket, MemorySender
from tests.fakes.channels import VOUCHERS
from tests.fakes.files import read_files
from tests.fakes.peers import MemoryHub, MemoryNetwork
from tests.fakes.store import MemoryStore
from tests.fakes.trainer import EchoWriter, MemoryTrainer, NoRounds
from viz_node.chain.account.signing import account_of_key
from viz_node.daemon.secrets import Sealing
from viz_node.domain.ids import PeerId
from viz_node.domain.job import Job, JobState
from viz_node.domain.manifest import FILE_NAMES
from viz_node.domain.memory import ModelSizes
from viz_node.domain.names import FilePath
from viz_node.domain.orders import Order, PublishOrder, UnreadableOrder, parse_order
from viz_node.domain.records import AdapterRecord
from viz_node.domain.terms import AskedTerms
from viz_node.domain.training import InstalledBase
from viz_node.errors import PeerUnreachableError
from viz_node.identity import delivery
from viz_node.identity.keystore import NodeKeys
from viz_node.identity.signatures import ed25519_public, peer_id_of, verify_bytes
from viz_node.p2p.blobs import blob_id_of
from viz_node.services.compose import compose
from viz_node.services.market.announcements import Announcements
from viz_node.services.money.transact import Patience
from viz_node.services.needs import Choices, Ports, Tools
from viz_node.services.node.part import NodeFacts, Views
from viz_node.services.uses.serve_uses import USE_METHOD

NOW = 1_800_000_000
BASE = InstalledBase("small", "ab" * 32, "CC0-1.0", 1, FilePath("/nowhere"), listed_sources())
FACTS = NodeFacts("1", "/nowhere", NOW, "http://127.0.0.1:1", 31337, "0x" + "11" * 20, is_test_chain=True)


class Killed(BaseException):
    """The process died here; no service may catch it."""


class Fuse:
    """Counts the calls of all ports; `burns_at` the k-th one the process dies, before or after its effect."""

    def __init__(self, burns_at: int | None = None, after: bool = False) -> None:
        self.calls: list[str] = []
        self._burns_at = burns_at
        self._after = after
        self._is_dead = False

    def before(self, name: str) -> None:
        self.calls.append(name)
        if self._is_dead or (len(self.calls) - 1 == self._burns_at and not self._after):
            self._die()

    def after(self, position: int) -> None:
        if position == self._burns_at:
            self._die()

    def _die(self) -> None:
        self._is_dead = True
        raise Killed


class Fused:
    """A port whose calls go through the fuse."""

    def __init__(self, port: Any, fuse: Fuse) -> None:
        self._port = port
        self._fuse = fuse

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._port, name)
        if not callable(value) or name == "serve":  # said while the node is put together, before anything runs
            return value

        def call(*values: Any, **options: Any) -> Any:
            self._fuse.before(f"{type(self._port).__name__}.{name}")
            position = len(self._fuse.calls) - 1
            result = value(*values, **options)
            if asyncio.iscoroutine(result):
                return self._finish(result, position)
            self._fuse.after(position)
            return result

        return call

    async def _finish(self, coroutine: Any, position: int) -> Any:
        result = await coroutine
        self._fuse.after(position)
        return result


def _fused(store: MemoryStore, fuse: Fuse) -> MemoryStore:
    return MemoryStore(**{table.name: Fused(getattr(store, table.name), fuse) for table in fields(store)})


class Member:
    """One node: its state outlives `start`, which puts new services on it."""

    def __init__(self, world: "World", name: str, home: Path) -> None:
        self.world, self.home, self.now = world, home, NOW
        self.depths = 0, 0
        self.prompts: list[str] = []
        for folder in ("adapters", "bundles", "pools"):
            (home / folder).mkdir(parents=True)
        self.keys = keys_of(name)
        self.store = MemoryStore()
        self.network = MemoryNetwork(world.hub, self.keys.peer_id)
        self.start()

    def start(self, fuse: Fuse | None = None) -> None:
        fuse = fuse or Fuse()
        store, network = _fused(self.store, fuse), Fused(self.network, fuse)
        gateway = Fused(self.world.market(), fuse)
        sender = Fused(self.world.sender(self), fuse)
        announcements = self.announcements = Announcements(store.announcements, verify_bytes, self.clock)
        self.sealing = Sealing(self.keys)
        ports = Ports(
            store, self.keys, self.sealing, network, gateway, sender, delivery, VOUCHERS, announcements,
            verify_bytes, self.clock,
        )  # fmt: skip
        tools = Tools(
            self.home, MemoryTrainer([]), EchoWriter(self.prompts), NoRounds(), read_files, lambda: [BASE],
            _split_texts, _sizes_of, lambda _: None, lambda *_: None, lambda: 0,
            blob_id_of, list,
        )  # fmt: skip
        views = Views(dashboard=str, check_health=list, find_unwell=list, held_model=lambda: None, describe_config=list)
        choices = Choices(Patience(mined_seconds=self.world.mined_seconds), self.world.patience_seconds)
        self.services = services = compose(ports, tools, FACTS, views, choices)
        money, market, uses = services.money, services.market, services.uses
        self.treasury, self.royalties, self.allowances = money.treasury, money.royalties, money.allowances
        self.payments, self.royalty_plans, self.allowance_plans = (
            money.payments,
            money.royalty_plans,
            money.allowance_plans,
        )
        self.listings, self.publisher, self.buyer = market.listings, market.publisher, market.buyer
        self.publications, self.storefront = market.publication_orders, market.storefront
        self.publication_plans, self.purchase_plans = market.publication_plans, market.purchase_plans
        self.price_plans, self.key_desk = market.price_plans, market.key_desk
        self.channels, self.channel_jobs = uses.channels, uses.channel_jobs
        self.orders, self.deliveries, self.prices = market.key_orders, market.deliveries, market.prices
        self.pools, self.metered, self.meter, self.jobs = services.pools, uses.metered, uses.meter, services.jobs
        self.market, self.write = gateway, services.library.writing.write
        self.network.serve(USE_METHOD, self.answer_use)

    async def answer_use(self, peer_id: PeerId, payload: bytes) -> bytes:
        """To others, a node that dies is one that is away."""
        try:
            return await self.meter.on_use(peer_id, payload)
        except Killed as death:
            raise PeerUnreachableError("the peer broke off", "try again") from death

    def confirm_after(self, blocks: int) -> None:
        """Start again, and believe a block only under so many others."""
        self.depths = blocks, blocks
        self.start()

    def clock(self) -> int:
        return self.now

    async def live(self, *orders: Order | tuple[str, dict[str, Any]]) -> list[Job]:
        """Run the jobs that a crash left and these orders, one after another, until all have ended or it is killed."""
        async with asyncio.TaskGroup() as group:
            self.jobs.start(group)
            for order in orders:
                asked = order if isinstance(order, Order) else parse_order(*order)
                assert not isinstance(asked, UnreadableOrder), asked
                await self.jobs.follow(self.jobs.accept(asked).job_id, lambda _: None)
        return self.store.jobs.list_jobs()

    async def survive(self, *orders: Order | tuple[str, dict[str, Any]]) -> list[Job]:
        """`live`, and when it is killed `start` and `live` again."""
        with suppress(BaseExceptionGroup):
            return await self.live(*orders)
        self.start()
        return await self.live()

    def add_adapter(self, name: str) -> AdapterRecord:
        directory = self.home / "adapters" / name
        directory.mkdir()
        for file_name in FILE_NAMES:
            (directory / file_name).write_bytes(f"{file_name} of {name}".encode() * 100)
        record = AdapterRecord(name, None, "small", "ab" * 32, str(directory), "trained", created=NOW)
        self.store.adapters.save_adapter(record)
        return record

    async def sell(self, name: str, price: str = "5.00", kind: str = "perpetual", is_escrowed: bool = False) -> str:
        """Publish a new adapter; its id."""
        self.add_adapter(name)
        terms = self.publications.check_order(name, AskedTerms(price, license_kind=kind, is_escrowed=is_escrowed))
        jobs = await self.live(PublishOrder(name, terms))
        assert jobs[0].state is JobState.DONE, jobs[0]
        return str(jobs[0].result["adapter_id"])

    def hear(self) -> None:
        """What gossip brings."""
        for raw in self.world.hub.announcements.values():
            self.announcements.check(raw)
            self.announcements.take_in(raw)

    @property
    def tokens(self) -> int:
        return self.world.chain.state.tokens.get(self.keys.account, 0)


def _sizes_of(directory: Path) -> ModelSizes:
    return ModelSizes("llama", 6_000_000, 256, 704, 6, 6144, 1024)


def _split_texts(texts: Mapping[str, str], seed: int) -> tuple[list[str], list[str]]:
    return list(texts.values()), []


@cache
def keys_of(name: str) -> NodeKeys:
    """The same keys for the same name, without a keystore's slow lock."""
    seed, account_key, content_key, delivery_key = (
        hashlib.sha256(f"{name} {part}".encode()).digest() for part in range(4)
    )
    peer_id = peer_id_of(ed25519_public(seed))
    return NodeKeys(account_of_key(account_key), peer_id, seed, account_key, content_key, delivery_key)


class World:
    """One chain, one network, and the nodes on it."""

    patience_seconds = 0.05
    mined_seconds = 2.0

    def __init__(self, directory: Path) -> None:
        self.chain, self.hub = MemoryChain(), MemoryHub()
        self._directory = directory

    def market(self) -> Any:
        return MemoryMarket(self.chain)

    def sender(self, member: Member) -> Any:
        return MemorySender(self.chain, member.keys.account, *member.depths)

    def node(self, name: str, tokens: int = 0) -> Member:
        member = Member(self, name, self._directory / name)
        self.chain.state.tokens[member.keys.account] = tokens
        return member


def every_fuse(calls: int) -> Iterator[Fuse]:
    """A death before and one after each of so many calls."""
    for position in range(calls):
        yield Fuse(position, after=False)
        yield Fuse(position, after=True)
