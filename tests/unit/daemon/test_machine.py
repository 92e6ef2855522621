"""What a node finds out about its machine."""

import pytest

from viz_node.daemon.machine import largest_memory, this_machine


def test_this_machine__wherever_it_runs__has_memory_and_cores() -> None:
    machine = this_machine()
    assert machine.memory_bytes > 1 << 28
    assert machine.cores >= 1
    assert this_machine() is machine


@pytest.mark.parametrize(("told", "gib"), [(b"8192\n24576\n", 24), (b"[N/A]\n", 0), (b"", 0), (b"\xff\n1024\n", 1)])
def test_largest_memory__lines_of_gpus__the_largest_counts(told: bytes, gib: int) -> None:
    assert largest_memory(told) == gib << 30
