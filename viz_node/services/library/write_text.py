"""Texts that adapters write: for this node's owner as jobs, and for peers that pay per use."""

import asyncio
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeAlias

from viz_node.domain.answer import UNSET, UnsetType
from viz_node.domain.ids import AdapterId
from viz_node.domain.job import Job
from viz_node.domain.names import FilePath
from viz_node.domain.orders import GenerateOrder
from viz_node.domain.records import AdapterRecord
from viz_node.domain.training import Generate
from viz_node.domain.worker import TextPiece, WorkerLine
from viz_node.ports.workers import TextWriter
from viz_node.services.library.train_adapter import Workshop
from viz_node.services.part import Report

Pieces: TypeAlias = "asyncio.Queue[str | None]"
"""The text that a job writes, piece by piece; None once it is over."""


@dataclass(frozen=True)
class WrittenText:
    """What an adapter wrote; `prompt_cut` tokens at the beginning of the prompt did not fit.

    Counted for its owner: `used` is the id of a fetched adapter, `chain_time` in seconds.
    """

    text: str
    adapter: str
    base: str
    finish_reason: str | UnsetType = UNSET
    prompt_cut: int | UnsetType = UNSET
    used: AdapterId | UnsetType | None = UNSET
    chain_time: int | UnsetType = UNSET


Write: TypeAlias = Callable[[Job[GenerateOrder], Report], Awaitable[WrittenText]]
"""Writes on from a prompt, as a job."""


class Writing:
    """Writes with the adapters of the workshop's library; the pieces of a text go only to those who listen."""

    def __init__(self, workshop: Workshop, writer: TextWriter) -> None:
        self._workshop = workshop
        self._writer = writer
        self._begun: dict[str, list[str]] = {}
        self._listeners: defaultdict[str, set[Pieces]] = defaultdict(set)

    @contextmanager
    def listen(self, job_id: str) -> Iterator[Pieces]:
        """The text of this job, also what was written of it before, for as long as the block lasts."""
        pieces: Pieces = asyncio.Queue()
        for text in self._begun.get(job_id, ()):
            pieces.put_nowait(text)
        self._listeners[job_id].add(pieces)
        try:
            yield pieces
        finally:
            self._listeners[job_id].discard(pieces)
            if not self._listeners[job_id]:
                del self._listeners[job_id]

    async def generate(self, job: Job[GenerateOrder], report: Report) -> WrittenText:
        """Job: write on from a prompt with an adapter on its base."""
        order, record = job.order, self._workshop.find_adapter(job.order.adapter)

        def tell(line: WorkerLine) -> None:
            # A piece is not progress: the database must not be written once per token.
            if isinstance(line, TextPiece):
                self._tell(job.job_id, line.text)
            else:
                report(line)

        self._begun[job.job_id] = []
        try:
            written = await self._writer.generate(self._ordered(record, order), tell)
        finally:
            del self._begun[job.job_id]
            self._tell(job.job_id, None)
        base = self._workshop.find_base(record.base_digest).name
        return WrittenText(
            written.text, record.name, base, finish_reason=written.finish_reason, prompt_cut=written.prompt_cut
        )

    async def write(self, adapter: str, prompt: str, max_new_tokens: int) -> str:
        """The text that follows a prompt, for somebody else's node; nothing of it is kept."""
        record = self._workshop.find_adapter(adapter)
        order = self._ordered(record, GenerateOrder(record.name, prompt, max_new_tokens))
        return (await self._writer.generate(order, lambda line: None)).text

    def _tell(self, job_id: str, text: str | None) -> None:
        if text is not None:
            self._begun[job_id].append(text)
        for pieces in self._listeners.get(job_id, ()):
            pieces.put_nowait(text)

    def _ordered(self, record: AdapterRecord, order: GenerateOrder) -> Generate:
        return Generate(
            base=self._workshop.find_base(record.base_digest),
            adapter_dir=FilePath(record.directory),
            prompt=order.prompt,
            max_new_tokens=order.max_new_tokens,
            sampling=order.sampling,
            messages=order.messages,
        )
