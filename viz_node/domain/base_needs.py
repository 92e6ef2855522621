"""What a base model needs, and how fast a machine trains on it: estimates from sizes, before anything is downloaded."""

import math
from collections.abc import Iterable
from dataclasses import dataclass

BYTES_PER_QUANTIZED_WEIGHT = 0.52
"""NF4 with double quantization takes 4.127 bits per weight (Dettmers et al. 2023)."""

_PROGRAM_BYTES = 1 << 30
# Rank 8, pieces of 128 tokens: a Llama of 135 million weights trains at 191 tokens/s on two cores of a server.
_WEIGHTS_PER_CORE_SECOND = 135_000_000 * 191 / 2
_LEAST_SECONDS = 5
# Much smaller models are slow for their size, because little of their time goes into their matrices.
_ALIKE = math.log(20)


@dataclass(frozen=True)
class Machine:
    """This machine: memory 0 is unknown, GPU memory 0 is no GPU; that of its largest one."""

    memory_bytes: int = 0
    cores: int = 1
    gpu_memory_bytes: int = 0


@dataclass(frozen=True)
class PastTraining:
    """How long a training on this machine took, on a base of so many parameters."""

    parameters: int
    tokens: int
    seconds: int


@dataclass(frozen=True)
class Needs:
    """What training on a base needs here; `tokens_per_second` is None where nobody can tell."""

    memory_bytes: int
    memory_here_bytes: int
    tokens_per_second: int | None
    is_too_large: bool


def needs_of(parameters: int, embedded: int, machine: Machine, past: Iterable[PastTraining] = ()) -> Needs:
    """Estimate them. All but the `embedded` of the parameters are stored in 4 bits while training."""
    has_gpu = machine.gpu_memory_bytes > 0
    # The embedding is kept in 16 bits on a GPU and in 32 on a CPU.
    weights = (parameters - embedded) * BYTES_PER_QUANTIZED_WEIGHT + embedded * (2 if has_gpu else 4)
    memory, here = int(weights) + _PROGRAM_BYTES, machine.gpu_memory_bytes or machine.memory_bytes
    return Needs(memory, here, _speed(parameters, machine, past), 0 < here < memory)


def _speed(parameters: int, machine: Machine, past: Iterable[PastTraining]) -> int | None:
    """From the base of the nearest size trained on here, else from the cores; rounded to two digits, at least 1."""
    known = [one for one in past if one.seconds >= _LEAST_SECONDS and one.tokens > 0 and one.parameters > 0]
    apart = {one: abs(math.log(one.parameters / parameters)) for one in known}
    nearest = min(known, key=lambda one: apart[one], default=None)
    if nearest is not None and apart[nearest] <= _ALIKE:
        rate = nearest.parameters * nearest.tokens / nearest.seconds
    elif machine.gpu_memory_bytes:
        return None
    else:
        rate = _WEIGHTS_PER_CORE_SECOND * machine.cores
    return max(1, int(float(f"{rate / max(1, parameters):.2g}")))
