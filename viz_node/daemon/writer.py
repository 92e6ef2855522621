"""The process that writes texts, and keeps its model in memory for a while; fits `ports.TextWriter`."""

import os
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

from viz_node.domain.answer import UNSET, UnsetType
from viz_node.domain.health import Check, failed, well
from viz_node.domain.held_model import HeldModel
from viz_node.domain.training import AUTO, Generate, TextWritten
from viz_node.domain.worker import Progress, TextPiece, WorkerLine, placed
from viz_node.ports.workers import Tell
from viz_node.workers.ask import Answers, WorkerCommand
from viz_node.workers.keep import KeptWorker, Patience

MODULE = "viz_node.models.writing"
_ANSWERS = Answers(TextWritten, (Progress, TextPiece))
_CHECK = "writing"


class ResidentWriter:
    """Texts in turn, by one process; models compute on `device`, which orders need not name."""

    def __init__(self, command: Callable[[], WorkerCommand], patience: Patience, device: str = AUTO) -> None:
        self._worker, self._device = KeptWorker(command, patience), device
        self._base, self._adapter = "", ""

    async def generate(self, order: Generate, tell: Tell) -> TextWritten:
        """Continue a prompt. Raises: the errors of `KeptWorker.ask`."""

        def hear(line: WorkerLine) -> None:
            self._base, self._adapter = order.base.name, Path(order.adapter_dir).name
            tell(line)

        return await self._worker.ask(placed(order, self._device), _ANSWERS, hear)

    def room(self) -> AbstractAsyncContextManager[None]:
        """While the block lasts, no model waits in memory."""
        return self._worker.room()

    async def close(self) -> None:
        """End the process; no other one is started."""
        await self._worker.close()

    @property
    def held(self) -> HeldModel | None:
        """What is in memory now."""
        kept = self._worker.kept
        if kept is None:
            return None
        idle_seconds = 0 if kept.is_busy else round(kept.idle_seconds)
        return HeldModel(
            self._base, self._adapter, kept.pid, idle_seconds, kept.is_busy, memory_bytes=_memory_of(kept.pid)
        )

    def check(self) -> Check:
        """Fails only while no process can be started."""
        if self._worker.trouble:
            return failed(_CHECK, self._worker.trouble, "see viz-node logs; the next prompt tries again")
        held = self.held
        return well(_CHECK, "no model is in memory" if held is None else held.sentence())


def _memory_of(pid: int) -> int | UnsetType:
    """The memory of a process that nobody else's is counted in; on Linux only."""
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()
    except (OSError, ValueError):
        return UNSET
    return (int(resident) - int(shared)) * os.sysconf("SC_PAGE_SIZE")
