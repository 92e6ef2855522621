"""Figures for Prometheus: counts, sizes and health; no names, titles, addresses or amounts of money."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from viz_node import __version__
from viz_node.daemon.health import ChainWatch, Probe, run_checks
from viz_node.domain.health import Health
from viz_node.domain.job import Job
from viz_node.domain.peer_address import Neighbour
from viz_node.ports.state import WithAdapters, WithJobs, WithOutbox, WithWorks

CONTENT_TYPE = "text/plain; version=0.0.4"


class MeasuredState(WithWorks, WithJobs, WithAdapters, WithOutbox, Protocol):
    """The tables that are counted."""


@dataclass(eq=False)
class Metrics(Collector):
    """Everything is read when it is asked for; nothing is counted in between."""

    store: MeasuredState
    probes: list[Probe]
    chain: ChainWatch
    now: Callable[[], int]
    connected_peers: int = 0
    known_peers: int = 0
    _registry: CollectorRegistry = field(default_factory=lambda: CollectorRegistry(auto_describe=False))

    def __post_init__(self) -> None:
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)

    async def read(self, list_peers: Callable[[], Awaitable[Sequence[Neighbour]]]) -> bytes:
        """All figures in Prometheus's text format."""
        peers = await list_peers()
        self.known_peers, self.connected_peers = len(peers), sum(peer.connected for peer in peers)
        return await asyncio.to_thread(generate_latest, self._registry)

    def collect(self) -> Iterator[Metric]:
        """The figures; called by the library."""
        yield _gauge("viz_node_info", "The program; always 1.", [((__version__,), 1)], "version")
        checks = run_checks(self.probes)
        rows = [((check.check,), int(check.state is not Health.FAIL)) for check in checks]
        yield _gauge("viz_node_check_ok", "1 if the check does not fail.", rows, "check")
        ready = all(check.state is not Health.FAIL for check in checks)
        yield _gauge("viz_node_ready", "1 if the node can do its work, as /readyz says.", [((), int(ready))])
        jobs = Counter(map(_kind_and_state, self.store.jobs.list_jobs()))
        yield _gauge("viz_node_jobs", "Jobs by kind and state.", jobs.items(), "kind", "state")
        yield _gauge("viz_node_works", "Works of the owner.", [((), len(self.store.works.list_works()))])
        yield _gauge("viz_node_adapters", "Adapters in the library.", [((), len(self.store.adapters.list_adapters()))])
        peers = [(("connected",), self.connected_peers), (("known",), self.known_peers)]
        yield _gauge("viz_node_peers", "Peers of the network.", peers, "state")
        pending = len(self.store.outbox.pending_outbox())
        yield _gauge("viz_node_transactions_pending", "Transactions that are not booked yet.", [((), pending)])
        age = self.now() - self.chain.head_time if self.chain.head_time else -1
        yield _gauge("viz_node_chain_head_age_seconds", "Age of the latest block; -1 before the first.", [((), age)])


def _kind_and_state(job: Job[object]) -> tuple[str, ...]:
    return job.kind, str(job.state)


def _gauge(name: str, said: str, rows: Iterable[tuple[tuple[str, ...], int]], *labels: str) -> Metric:
    family = GaugeMetricFamily(name, said, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family
