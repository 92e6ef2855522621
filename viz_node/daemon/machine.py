"""What this machine offers to models: memory, cores, and the memory of its largest GPU; knows no torch."""

import functools
import os
import subprocess
from pathlib import Path

from viz_node.domain.base_needs import Machine

_QUERY = ("nvidia-smi", "--query-gpu=memory.total", "--format=csv,noheader,nounits")
_SECONDS = 5


@functools.cache
def this_machine() -> Machine:
    """Looked up once; what cannot be found out is 0."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        memory, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1, _gpu_bytes()
    )


def _gpu_bytes() -> int:
    if not Path("/dev/nvidiactl").exists():
        return 0
    try:
        return largest_memory(subprocess.run(_QUERY, capture_output=True, timeout=_SECONDS, check=True).stdout)
    except (OSError, subprocess.SubprocessError):
        return 0


def largest_memory(told: bytes) -> int:
    """In bytes, of what `nvidia-smi` tells: mebibytes, one GPU per line; others, as `[N/A]`, are passed over."""
    return max((int(line) << 20 for line in told.split() if line.isdigit()), default=0)
