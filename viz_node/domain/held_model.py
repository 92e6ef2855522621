"""The model that waits in memory for the next prompt."""

from dataclasses import dataclass

from viz_node.domain.answer import UNSET, UnsetType


@dataclass(frozen=True)
class HeldModel:
    """Base model and adapter in the memory of a process; `memory_bytes` where the system tells it.

    `idle_seconds` since its last answer.
    """

    base: str
    adapter: str
    pid: int
    idle_seconds: int
    is_writing: bool
    memory_bytes: int | UnsetType = UNSET

    def sentence(self) -> str:
        """All of it, for people."""
        size = "" if isinstance(self.memory_bytes, UnsetType) else f", {self.memory_bytes / 1024**2:.0f} MiB"
        doing = "at work" if self.is_writing else f"idle for {self.idle_seconds} s"
        return f"{self.base} with {self.adapter or 'no adapter'} is in memory{size}, {doing}"
