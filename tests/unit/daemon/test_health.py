"""What a running node watches in itself: each check fails when its thing is gone, and one that breaks is a finding."""

import os
import resource
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from viz_node.daemon import health
from viz_node.domain.health import Check, Health
from viz_node.errors import ChainUnavailableError


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


class Chain:
    """Tells the time of its latest block, or is down."""

    is_down = False

    def __call__(self) -> int:
        if self.is_down:
            raise ChainUnavailableError("the chain does not answer", "start it")
        return 1_000


class Network:
    def __init__(self, *addresses: str) -> None:
        self.addresses = list(addresses)
        self.trouble = "" if addresses else "it is down"


def test_check_network__no_room_for_new_peers__fails_with_the_reason() -> None:
    network = Network("/ip4/127.0.0.1/tcp/1")
    assert health.check_network(network).state is Health.OK
    network.trouble = "no room for new peers"
    found = health.check_network(network)
    assert (found.state, found.detail) == (Health.FAIL, "no room for new peers")
    assert found.fix


def test_chain_watch__silent_then_back__warns_fails_and_is_well_again() -> None:
    clock, chain = Clock(), Chain()
    watch = health.ChainWatch(chain, clock)
    watch.look()
    assert (watch.check().state, watch.head_time) == (Health.OK, 1_000)
    chain.is_down = True
    watch.look()
    assert watch.check().state is Health.WARN
    clock.now += health.SILENT_SECONDS + 1
    found = watch.check()
    assert found.state is Health.FAIL
    assert "the chain does not answer" in found.detail
    chain.is_down = False
    watch.look()
    assert watch.check().state is Health.OK


@pytest.fixture
def few_descriptors() -> Iterator[list[int]]:
    """Descriptors that this test opens, under a limit that they can reach."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    opened: list[int] = []
    resource.setrlimit(resource.RLIMIT_NOFILE, (600, hard))
    yield opened
    for descriptor in opened:
        os.close(descriptor)
    resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_check_descriptors__ever_more_are_open__well_then_warned_then_failed_also_at_the_last(
    few_descriptors: list[int],
) -> None:
    assert health.check_descriptors().state is Health.OK
    seen = []
    with suppress(OSError):
        while len(few_descriptors) < 600:
            few_descriptors.append(os.open("/dev/null", os.O_RDONLY))
            if len(few_descriptors) % 20 == 0:
                seen.append(health.check_descriptors().state)
    found = health.check_descriptors()
    assert found.state is Health.FAIL
    assert "restart the node" in found.fix
    assert Health.WARN in seen


@pytest.mark.parametrize(
    ("free", "state"),
    [(10 * 1024**3, Health.OK), (1024**3, Health.WARN), (health.FULL_BYTES - 1, Health.FAIL), (0, Health.FAIL)],
)
def test_check_disk__less_and_less_room__warned_then_failed(tmp_path: Path, free: int, state: Health) -> None:
    found = health.check_disk(tmp_path / "not" / "there" / "yet", lambda _place: free)
    assert found.state is state


def test_vital_checks__network_down_and_a_check_that_breaks__are_the_problems(tmp_path: Path) -> None:
    def broken() -> Check:
        raise ZeroDivisionError("by nought")

    watch = health.ChainWatch(Chain())
    well = health.vital_checks(tmp_path, Network("/ip4/127.0.0.1/tcp/1"), watch)
    assert health.unwell_of(well) == []
    unwell = health.vital_checks(tmp_path, Network(), watch, [broken])
    assert [item.check for item in health.unwell_of(unwell)] == ["peer network", "self-check"]
