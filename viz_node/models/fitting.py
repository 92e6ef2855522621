"""Whether a training fits into the memory that is free, and how much it took in the end."""

import os
import resource
import sys
from pathlib import Path

import torch

from viz_node.domain.memory import MIB, Room, changed_values, estimate_memory, fitting_recipe
from viz_node.domain.recipe import Recipe
from viz_node.errors import UsageError
from viz_node.models.bases import ResolvedBase, read_sizes

_MEMINFO, _STATUS = Path("/proc/meminfo"), Path("/proc/self/status")
_LIMIT, _USED = Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")


def room_on(device: str) -> Room:
    """What a training on this device may take; of the CPU's memory, what this process has already counts as free."""
    if device != "cpu":
        return Room(True, torch.cuda.mem_get_info(device)[0])
    return Room(False, _available() + peak_bytes(device))


def peak_bytes(device: str) -> int:
    """The most memory that this process has held on the device."""
    if device != "cpu":
        return int(torch.cuda.max_memory_reserved(device))
    if _STATUS.exists():
        # Of this program alone: what getrusage tells, a child has from the program that started it.
        return int(_kilobytes(_STATUS)["VmHWM"]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def check_fits(base: ResolvedBase, recipe: Recipe, step_tokens: int, room: Room) -> int:
    """The estimated bytes of a training whose longest step has so many tokens.

    Raises: UsageError (they are not free; the recipe that would fit is in the hint).
    """
    sizes = read_sizes(base.directory)
    needed = estimate_memory(sizes, recipe, room.is_gpu, step_tokens)
    if needed <= room.free_bytes:
        return needed
    smaller = fitting_recipe(sizes, recipe, room, step_tokens)
    hint = "use a smaller base model; nothing in the recipe makes room enough"
    if smaller is not None:
        hint = f"in the recipe: {changed_values(recipe, smaller)}"
    where = "the GPU" if room.is_gpu else "this machine"
    raise UsageError(
        f"this training needs about {needed // MIB:,} MB of memory, and {where} has {room.free_bytes // MIB:,} MB free",
        hint,
    )


def _available() -> int:
    """Bytes that programs can still get, within this process's control group."""
    found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    try:
        found = int(_kilobytes(_MEMINFO)["MemAvailable"]) * 1024
        found = min(found, int(_LIMIT.read_text()) - int(_USED.read_text()))
    except (OSError, ValueError, KeyError):
        # Not Linux, or a group without a limit, which says "max".
        return found
    return max(0, found)


def _kilobytes(path: Path) -> dict[str, str]:
    """The first word of each line's value, by name."""
    pairs = (line.partition(":") for line in path.read_text().splitlines())
    return {name: value.split()[0] for name, _, value in pairs if value.split()}
