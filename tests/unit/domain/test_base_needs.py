"""Estimates of memory and speed: from sizes, from cores, and from what this machine did before."""

from viz_node.domain.base_needs import Machine, PastTraining, needs_of

SIZES = 1_000_000_000, 100_000_000


def test_needs__weights_in_four_bits__and_the_embedding_whole() -> None:
    on_cpu, on_gpu = needs_of(*SIZES, Machine(8 << 30, 2)), needs_of(*SIZES, Machine(8 << 30, 2, 4 << 30))
    assert on_cpu.memory_bytes == 468_000_000 + 400_000_000 + (1 << 30)
    assert on_gpu.memory_bytes == 468_000_000 + 200_000_000 + (1 << 30)
    assert (on_cpu.memory_here_bytes, on_gpu.memory_here_bytes) == (8 << 30, 4 << 30)


def test_needs__memory_of_the_machine__decides_and_unknown_does_not_refuse() -> None:
    assert needs_of(*SIZES, Machine(1 << 30, 2)).is_too_large
    assert not needs_of(*SIZES, Machine(8 << 30, 2)).is_too_large
    assert not needs_of(*SIZES, Machine()).is_too_large


def test_needs__nothing_trained_yet__speed_goes_by_cores_and_a_gpu_is_not_guessed() -> None:
    assert needs_of(135_000_000, 0, Machine(cores=2)).tokens_per_second == 190
    assert needs_of(135_000_000, 0, Machine(cores=8)).tokens_per_second == 760
    assert needs_of(10**12, 0, Machine()).tokens_per_second == 1
    assert needs_of(*SIZES, Machine(gpu_memory_bytes=1)).tokens_per_second is None


def test_needs__trained_here_before__speed_is_that_of_the_nearest_size() -> None:
    small, middle = PastTraining(5_000_000, 4000, 10), PastTraining(10**9, 700, 10)
    past = [small, middle, PastTraining(10**10, 9, 1), PastTraining(0, 9, 99)]
    assert needs_of(10**9, 0, Machine(gpu_memory_bytes=1), past).tokens_per_second == 70
    assert needs_of(5 * 10**8, 0, Machine(cores=64), past).tokens_per_second == 140
    assert needs_of(10**7, 0, Machine(), past).tokens_per_second == 200
    assert needs_of(135_000_000, 0, Machine(cores=2), [small]).tokens_per_second == 190
