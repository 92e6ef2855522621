"""Figures for Prometheus: right, readable by its own parser, and without anything that is the owner's business."""

import time
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from viz_node.daemon.health import ChainWatch
from viz_node.daemon.metrics import Metrics
from viz_node.domain.health import failed, well
from viz_node.domain.ids import PeerId, WorkId
from viz_node.domain.job import Job, JobState
from viz_node.domain.orders import TrainOrder
from viz_node.domain.peer_address import Neighbour
from viz_node.domain.recipe import Recipe
from viz_node.domain.work import Rights, Work
from viz_node.storage.store import Store


@pytest.mark.asyncio
async def test_metrics__a_node_with_works_and_jobs__counts_without_names(tmp_path: Path) -> None:
    store = Store(tmp_path / "node.db")
    work = Work(WorkId("ab" * 32), "Planted Title", "Planted Author", Rights.OWNED, "text/plain", 1, 1, "", "", 1)
    store.works.add_work(work, tmp_path / "x")
    order = TrainOrder("planted-name", (), None, Recipe())
    for number, state in enumerate((JobState.DONE, JobState.FAILED, JobState.FAILED)):
        store.jobs.add_job(Job(f"job{number}", "train", state, order, 1, 1, error="planted error"))
    chain = ChainWatch(lambda: int(time.time()) - 30)
    chain.look()
    probes = [lambda: well("disk space", "/planted/home"), lambda: failed("peer network", "planted detail", "fix")]

    async def peers() -> list[Neighbour]:
        return [Neighbour(PeerId("planted"), (), True), Neighbour(PeerId("planted"), (), False)]

    text = (await Metrics(store, probes, chain, lambda: int(time.time())).read(peers)).decode()
    store.close()
    samples = {
        (sample.name, *sample.labels.values()): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["viz_node_jobs", "train", "failed"] == 2
    assert samples[("viz_node_works",)] == 1
    assert samples["viz_node_peers", "connected"] == 1
    assert samples["viz_node_peers", "known"] == 2
    assert samples["viz_node_check_ok", "disk space"] == 1
    assert samples["viz_node_check_ok", "peer network"] == 0
    assert samples[("viz_node_ready",)] == 0
    assert 29 <= samples[("viz_node_chain_head_age_seconds",)] <= 40
    assert samples[("process_open_fds",)] > 0
    assert "planted" not in text.lower()
