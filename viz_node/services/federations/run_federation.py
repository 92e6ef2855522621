"""Take this node's part in the rounds of a federation, as a durable job; works never leave their node."""

import asyncio
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from viz_node.domain.federation import Federation, Role
from viz_node.domain.job import Job
from viz_node.domain.names import FilePath
from viz_node.domain.orders import FederateOrder
from viz_node.domain.records import AdapterRecord
from viz_node.domain.rounds import Coordinate, Listening, TakePart
from viz_node.domain.training import AdapterTrained, Facts
from viz_node.domain.worker import WorkerLine
from viz_node.errors import (
    DeadlineError,
    PeerUnreachableError,
    RefusedError,
    UnreachableError,
    UsageError,
    VizNodeError,
)
from viz_node.ports.keys import Keys
from viz_node.ports.network import Tunnels
from viz_node.ports.state import WithAdapters, WithFederations
from viz_node.ports.workers import RoundsRunner
from viz_node.services.federations.join_federation import request_terms
from viz_node.services.library.look_up import adapter_named
from viz_node.services.library.train_adapter import ShownAdapter, Workshop, describe_adapter
from viz_node.services.part import Report

_RETRY_SECONDS = 3.0
_PATIENCE_SECONDS = 120.0
_OWN_PATIENCE_SECONDS = 86_400.0


@dataclass(frozen=True)
class Waiting:
    """A member waits for the first of `steps` rounds, and why."""

    phase: str = "wait"
    step: int = 0
    steps: int = 0
    reason: str = ""


@dataclass(frozen=True)
class TakenPart:
    """What a member did: in how many rounds it trained."""

    name: str
    federation_id: str
    rounds_trained: int


class RoundsState(WithFederations, WithAdapters, Protocol):
    """The agreed terms, and the adapters that come of them."""


class Rounds:
    """The coordinator runs Flower and a member of its own; other members reach it through a tunnel of the network."""

    def __init__(
        self,
        store: RoundsState,
        keys: Keys,
        network: Tunnels,
        workshop: Workshop,
        directory: Path,
        runner: RoundsRunner,
    ) -> None:
        self._store = store
        self._keys = keys
        self._network = network
        self._workshop = workshop
        self._directory = directory
        self._runner = runner

    async def federate(self, job: Job[FederateOrder], report: Report) -> ShownAdapter | TakenPart:
        """Job: take this node's part until the federation is done."""
        federation = self._store.federations.find_federation(job.order.federation)
        if federation.role is Role.COORDINATOR:
            return await self._coordinate(federation, job, report)
        while True:
            try:
                trained = await self._attend(federation, report)
                return TakenPart(federation.name, federation.federation_id, trained)
            except (UnreachableError, DeadlineError) as error:
                report(Waiting(steps=federation.terms.rounds, reason=error.message))
            await asyncio.sleep(_RETRY_SECONDS)

    async def _attend(self, federation: Federation, report: Report) -> int:
        peer_id, addresses = federation.coordinator()
        answer = await request_terms(self._network, peer_id, addresses, federation.federation_id)
        if answer.ended:
            return 0
        tunnel = f"fleet:{federation.federation_id}"
        await self._network.close_tunnel(tunnel)
        try:
            port = await self._network.open_tunnel(peer_id, tunnel)
        except RefusedError as error:
            raise PeerUnreachableError("the rounds have not begun") from error
        try:
            order = self._member_order(federation, port, None, _PATIENCE_SECONDS)
            result = await self._runner.take_part(order, report)
        finally:
            await self._network.close_tunnel(tunnel)
        return len(result.rounds_trained)

    async def _coordinate(self, federation: Federation, job: Job[FederateOrder], report: Report) -> ShownAdapter:
        name, federation_id, base = federation.name, federation.federation_id, federation.terms.base
        existing = adapter_named(self._store.adapters, name)
        if existing is not None:
            if existing.training.get("federation") == federation_id:
                return describe_adapter(existing)
            raise UsageError(f"there is another adapter {name} by now", "the federation cannot be saved")
        out = self._directory / "adapters" / name
        rounds, saved = await self._run_rounds(federation, out, report)
        facts: Facts = {"federation": federation_id, "members": len(federation.joined), "rounds": rounds}
        record = AdapterRecord(
            name=name,
            adapter_id=None,
            base_name=base.name,
            base_digest=base.digest,
            directory=str(out),
            origin="federated",
            works=federation.works,
            training={**saved.training, **facts, "job": job.job_id},
            evaluation=dict(saved.evaluation),
            created=job.created,
        )
        self._store.adapters.save_adapter(record)
        return describe_adapter(record)

    async def _run_rounds(self, federation: Federation, out: Path, report: Report) -> tuple[int, AdapterTrained]:
        """The coordinator's worker and this node's own member, side by side; if one fails, both end.

        How many rounds were run, and the adapter.
        """
        tunnel, others = f"fleet:{federation.federation_id}", set(federation.joined) - {self._keys.peer_id}
        listening: asyncio.Future[int] = asyncio.get_running_loop().create_future()

        def on_line(line: WorkerLine) -> None:
            if isinstance(line, Listening) and not listening.done():
                listening.set_result(line.fleet_port)

        coordinator = asyncio.ensure_future(self._runner.coordinate(self._coordinator_order(federation), on_line))
        tasks: list[asyncio.Future[Any]] = [coordinator]
        try:
            first: list[asyncio.Future[Any]] = [coordinator, listening]
            await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
            if not listening.done():
                raise VizNodeError(f"the coordinator ended early: {await coordinator}")
            port = listening.result()
            self._network.serve_tunnel(tunnel, port, lambda peer_id: peer_id in others)
            order = self._member_order(federation, port, FilePath(str(out)), _OWN_PATIENCE_SECONDS)
            member = asyncio.ensure_future(self._runner.take_part(order, report))
            tasks.append(member)
            run, part = await asyncio.gather(coordinator, member)
            if part.saved is None:
                raise VizNodeError("the member ended without an adapter", "see the worker's log")
            return len(run.rounds), part.saved
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self._network.close_tunnel(tunnel)

    def _coordinator_order(self, federation: Federation) -> Coordinate:
        state = self._directory / "federations" / federation.federation_id
        state.mkdir(parents=True, exist_ok=True, mode=0o700)
        members = federation.terms.members
        return Coordinate(
            run_id=federation.federation_id,
            terms_digest=federation.terms.digest(),
            rounds=federation.terms.rounds,
            state_dir=FilePath(str(state)),
            members=members,
            min_members=max(2, -(-2 * members // 3)),
        )

    def _member_order(
        self, federation: Federation, port: int, out_dir: FilePath | None, patience_seconds: float
    ) -> TakePart:
        terms = federation.terms
        train, held_out = self._workshop.texts_of(federation.works, terms.recipe.seed)
        return TakePart(
            run_id=federation.federation_id,
            terms_digest=terms.digest(),
            rounds=terms.rounds,
            fleet_address=f"127.0.0.1:{port}",
            base=self._workshop.find_base(terms.base.digest),
            texts=tuple(train),
            eval_texts=tuple(held_out),
            recipe=terms.recipe.to_recipe(),
            run_seed=terms.run_seed,
            name=self._keys.peer_id,
            out_dir=out_dir,
            patience_seconds=patience_seconds,
        )
