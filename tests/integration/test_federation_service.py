"""Federations of three nodes over real libp2p and Flower: who may join, and rounds that survive both roles' deaths."""

import asyncio
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack
from pathlib import Path

import msgspec
import numpy as np
import pytest

from tests.bases import listed_sources
from tests.fakes.chain import MemoryChain, MemoryMarket
from tests.fakes.federation_member import GatedPart
from tests.fakes.files import read_files
from tests.fakes.world import keys_of
from tests.waiting import until
from viz_node.daemon.processes import Tell, Workers
from viz_node.daemon.secrets import Sealing
from viz_node.domain.federation import agreed_shares, parse_invite
from viz_node.domain.job import Job, JobState
from viz_node.domain.manifest import canonical_bytes
from viz_node.domain.names import FilePath
from viz_node.domain.orders import FederateOrder
from viz_node.domain.rounds import Coordinate, PartTaken, RoundsRun, TakePart
from viz_node.domain.terms import AskedTerms
from viz_node.domain.training import InstalledBase
from viz_node.errors import NotFoundError, RefusedError, UsageError, VerificationError
from viz_node.identity.signatures import verify_bytes
from viz_node.p2p.core import Whereabouts
from viz_node.p2p.network import PeerNetwork
from viz_node.services.federations.join_federation import JOIN_METHOD, TERMS_METHOD, Federations
from viz_node.services.federations.run_federation import Rounds
from viz_node.services.jobs.runner import JobRunner
from viz_node.services.library.manage_works import WorkShelf
from viz_node.services.library.report_training import Reports
from viz_node.services.library.train_adapter import ModelTools, Workshop
from viz_node.services.market.announcements import Announcements
from viz_node.services.market.listings import Listings
from viz_node.services.market.order_publication import PublicationOrders
from viz_node.services.part import Kind, Lane
from viz_node.storage.store import Store
from viz_node.tcp import choose_port
from viz_node.workers.ask import Answers, ask

BASE = InstalledBase("small", "ab" * 32, "CC0-1.0", 1, FilePath("/nowhere"), listed_sources())
OTHER = "0x" + "22" * 20


class GatedWorkers(Workers):
    """The node's workers, with a member that waits at the gate before each round."""

    def __init__(self, environment: Mapping[str, str], log_path: Path, gate: Path) -> None:
        super().__init__(environment, log_path)
        self._gate = gate

    async def coordinate(self, order: Coordinate, tell: Tell) -> RoundsRun:
        return await super().coordinate(msgspec.structs.replace(order, closing_seconds=30), tell)

    async def take_part(self, order: TakePart, tell: Tell) -> PartTaken:
        gated = GatedPart(**msgspec.structs.asdict(order), gate=str(self._gate))
        return await ask(self._command("tests.fakes.federation_member"), gated, Answers(PartTaken), tell)


class Node:
    """The federation's part of a node, on a home that outlives it."""

    def __init__(self, name: str, home: Path, gate: Path) -> None:
        home.mkdir()
        self.keys, self.home, self.gate, self.bases = keys_of(name), home, gate, [BASE]
        self._listen = f"/ip4/127.0.0.1/tcp/{choose_port()}"

    async def start(self) -> None:
        self._stack = AsyncExitStack()
        self.store = Store(self.home / "node.db")
        self.network = PeerNetwork(self.keys.network_seed, Whereabouts(self._listen), self._no_announcements, list)
        self.jobs = JobRunner(self.store.jobs, lambda: 1)
        works = WorkShelf(self.store, self.home, Sealing(self.keys), read_files, lambda: 1)
        environment = dict(os.environ) | {"OMP_NUM_THREADS": "1"}
        runner = GatedWorkers(environment, self.home / "workers.log", self.gate)
        workshop = self.workshop = Workshop(
            self.store,
            works,
            Reports(self.store.adapters, self.home, Sealing(self.keys)),
            self.home,
            ModelTools(runner, lambda: self.bases, lambda texts, _: (list(texts.values()), [])),
        )
        self.federations = Federations(self.store.federations, self.keys, self.network, self.jobs, works, workshop)
        rounds = Rounds(self.store, self.keys, self.network.tunnels, workshop, self.home, runner)
        self.jobs.register(Kind(FederateOrder, Lane.FEDERATION, rounds.federate))
        self.network.serve(TERMS_METHOD, self.federations.on_terms)
        self.network.serve(JOIN_METHOD, self.federations.on_join)
        if not self.store.works.list_works():
            await works.add(["one.txt"], "owned", "Elsin")
        await self.network.runner.start()
        self.jobs.start(await self._stack.enter_async_context(asyncio.TaskGroup()))

    async def die(self) -> None:
        """As by SIGKILL: the kernel ends the workers, and the job stays `running` in the store."""
        await self.jobs.stop()
        await self.network.runner.stop()
        await self._stack.aclose()
        self.store.close()

    def job(self) -> Job:
        (job,) = self.jobs.list_jobs()
        return job

    def publications(self) -> PublicationOrders:
        market, announcements = (
            MemoryMarket(MemoryChain()),
            Announcements(self.store.announcements, verify_bytes, lambda: 1),
        )
        listings = Listings(announcements, self.store, self.network, market, verify_bytes, self.keys.account)
        return PublicationOrders(self.store, market, listings, self.keys.account, self.workshop.clearance)

    @staticmethod
    def _no_announcements(raw: bytes) -> tuple[str, int]:
        raise VerificationError("there are none in these tests")


@pytest.fixture
async def nodes(tmp_path: Path) -> AsyncIterator[list[Node]]:
    gate = tmp_path / "gate"
    gate.mkdir()
    made = [Node(name, tmp_path / name, gate) for name in ("first", "second", "third", "late")]
    for node in made:
        await node.start()
    yield made
    for node in made:
        await node.die()


async def test_join__full_unknown_or_other_terms__is_refused_and_the_rest_waits(nodes: list[Node]) -> None:
    first, second, third, late = nodes
    made = first.federations.create("trio", ["all"], 3, 1, "equal", None)
    asked = parse_invite(made.invite)
    late.bases = [msgspec.structs.replace(BASE, provenance={})]
    with pytest.raises(RefusedError, match="nobody says what small was trained on"):
        late.federations.create("other", ["all"], 3, 1, "equal", None)
    with pytest.raises(RefusedError, match="nobody says what small was trained on"):
        await late.federations.join(made.invite, ["all"])
    late.bases = [BASE]
    assert asked.federation_id == made.federation_id
    with pytest.raises(UsageError, match="2 of 3"):
        first.federations.run(made.federation_id)
    with pytest.raises(UsageError, match="coordinates"):
        await first.federations.join(made.invite, ["all"])
    unknown = msgspec.structs.replace(asked, federation_id="00" * 16).write()
    with pytest.raises(NotFoundError):
        await second.federations.join(unknown, ["all"])
    renamed = msgspec.structs.replace(asked, name="other").write()
    with pytest.raises(VerificationError):
        await second.federations.join(renamed, ["all"])

    await second.federations.join(made.invite, ["all"])
    with pytest.raises(UsageError, match="already a member"):
        await second.federations.join(made.invite, ["all"])
    terms = second.store.federations.find_federation(made.federation_id).terms
    wish = {"federation_id": made.federation_id, "account": OTHER, "terms_digest": terms.digest()}
    for change, error in (
        ({"terms_digest": msgspec.structs.replace(terms, split={OTHER: 10_000}).digest()}, RefusedError),
        ({"account": second.keys.account}, RefusedError),
        ({"account": "me"}, VerificationError),
        ({"extra": 1}, VerificationError),
    ):
        with pytest.raises(error):
            await third.network.request(
                first.keys.peer_id, JOIN_METHOD, canonical_bytes(wish | change), addresses=asked.addresses
            )
    await third.federations.join(made.invite, ["all"])
    with pytest.raises(RefusedError, match="full"):
        await late.federations.join(made.invite, ["all"])

    assert late.store.federations.list_federations() == late.jobs.list_jobs() == []
    status = first.federations.status(made.federation_id)
    assert status.state == "ready"
    assert status.split == agreed_shares("equal", [node.keys.account for node in nodes[:3]])


async def test_run__coordinator_and_member_killed_in_mid_run__finishes_with_the_agreed_split(
    nodes: list[Node],
) -> None:
    first, second, third, _ = nodes
    made = first.federations.create("trio", ["all"], 3, 3, "equal", None)
    for member in (second, third):
        await member.federations.join(made.invite, ["all"])
    first.federations.run(made.federation_id)
    gate = first.gate

    def have_begun(number: int, members: list[Node]) -> bool:
        return all((gate / f"began-{node.keys.peer_id}-{number}").exists() for node in members)

    (gate / "open-1").touch()
    await until(lambda: have_begun(2, nodes[:3]), 60, "round 2 begins")
    for marker in gate.glob("began-*-1"):
        marker.unlink()
    await first.die()
    await first.start()
    assert first.job().state in {JobState.QUEUED, JobState.RUNNING}
    (gate / "open-2").touch()
    await until(lambda: have_begun(3, nodes[:3]), 90, "round 3 begins after the coordinator's restart")
    await second.die()
    await second.start()
    (gate / "open-3").touch()
    await until(lambda: all(node.job().state is JobState.DONE for node in nodes[:3]), 90, "the jobs are done")

    assert not list(gate.glob("began-*-1")), "round 1 was not trained again"
    record = first.store.adapters.find_adapter("trio")
    assert (record.origin, record.training["members"], record.training["rounds"]) == ("federated", 3, 3)
    assert np.load(Path(record.directory) / "adapter.npy").any()
    shares = agreed_shares("equal", [node.keys.account for node in nodes[:3]])
    publications = first.publications()
    assert publications.check_order("trio", AskedTerms("5.00")).split == shares
    with pytest.raises(UsageError, match="another split"):
        publications.check_order("trio", AskedTerms("5.00", f"{first.keys.account}=100"))
