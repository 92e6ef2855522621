"""Blobs over `/viz/blob/1.0.0`: serving files, and fetching one from many peers, verified and resumable.

A request is 37 bytes (operation, blob id, chunk number), a reply is a status, a length and the data. The receiver keeps
four chunks on the way from each peer and grants a window of five at once: the sender never has more in flight than was
granted, so a slow disk at the receiver slows the sender down instead of breaking the stream. Near the end, chunks on
the way from a slow peer are asked from a second one. Two wrong chunks ban a peer from the fetch.
"""

import logging
import os
import struct
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Final

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID

from viz_node.errors import PeerUnreachableError, VerificationError, VizNodeError
from viz_node.p2p.blobs import CHUNK_BYTES, MAX_LIST_BYTES, ChunkList, PartialFile, SharedBlob, parse_chunk_list
from viz_node.p2p.links import Links
from viz_node.p2p.shares import Shares
from viz_node.p2p.streams import (
    STREAM_FAILURES,
    WRITE_BYTES,
    abandon,
    finish,
    grant_window,
    peer_of,
    read_exact,
    write_all,
)

_log = logging.getLogger(__name__)
PROTOCOL: Final = TProtocol("/viz/blob/1.0.0")
Progress = Callable[[int, int], None]

_REQUEST = struct.Struct(">B32sI")
_REPLY = struct.Struct(">BI")
_OP_LIST, _OP_CHUNK = 1, 2
_OK, _NOT_FOUND, _BUSY = 0, 1, 2
_PIPELINE: Final = 4
_MAX_BAD_CHUNKS: Final = 2
_TRIES_PER_PEER: Final = 3
_IDLE_SECONDS: Final = 60.0
MAX_STREAMS: Final = 96
MAX_STREAMS_PER_PEER: Final = 6


class BlobServer:
    """Serves the shared files to any peer; their contents are sealed."""

    def __init__(self, links: Links, blobs: dict[str, SharedBlob]) -> None:
        self._blobs = blobs
        self._shares = Shares(MAX_STREAMS, MAX_STREAMS_PER_PEER)
        links.host.set_stream_handler(PROTOCOL, self._on_stream)

    async def _on_stream(self, stream: INetStream) -> None:
        peer = peer_of(stream)
        try:
            with self._shares.place(peer) as is_free:
                while is_free:
                    await self._answer(stream, await read_exact(stream, _REQUEST.size, _IDLE_SECONDS))
            await stream.write(_REPLY.pack(_BUSY, 0))
            await finish(stream)
        except STREAM_FAILURES as error:
            _log.debug("a blob stream of %s ended: %r", peer, error)
        finally:
            await abandon(stream)

    async def _answer(self, stream: INetStream, request: bytes) -> None:
        operation, raw_id, index = _REQUEST.unpack(request)
        blob = self._blobs.get(raw_id.hex())
        data = await self._data_of(blob, operation, index) if blob else b""
        if blob is None or (not data and operation == _OP_CHUNK):
            await stream.write(_REPLY.pack(_NOT_FOUND, 0))
            return
        header = _REPLY.pack(_OK, len(data))
        first = WRITE_BYTES - len(header)
        with trio.fail_after(_IDLE_SECONDS):
            await stream.write(header + data[:first])
            await write_all(stream, memoryview(data)[first:])

    async def _data_of(self, blob: SharedBlob, operation: int, index: int) -> bytes:
        if operation == _OP_LIST:
            return blob.chunk_list
        return await trio.to_thread.run_sync(_read_chunk, blob.path, index)


def _read_chunk(path: Path, index: int) -> bytes:
    with path.open("rb") as file:
        return os.pread(file.fileno(), CHUNK_BYTES, index * CHUNK_BYTES)


async def request_chunk_list(links: Links, peer: ID, blob_id: str) -> ChunkList:
    """Ask one peer for a blob's chunk list. Raises: PeerUnreachableError, VerificationError."""
    stream = await links.open_stream(peer, PROTOCOL)
    try:
        await grant_window(stream, MAX_LIST_BYTES)
        await stream.write(_REQUEST.pack(_OP_LIST, bytes.fromhex(blob_id), 0))
        status, length = _REPLY.unpack(await read_exact(stream, _REPLY.size))
        if status != _OK or length > MAX_LIST_BYTES:
            raise PeerUnreachableError(f"peer {peer} does not serve blob {blob_id[:12]}")
        return parse_chunk_list(blob_id, await read_exact(stream, length))
    except STREAM_FAILURES as error:
        raise PeerUnreachableError(f"peer {peer} broke off: {error!r}", "try again") from error
    finally:
        await abandon(stream)


class Fetch:
    """One fetch; `banned` holds the peers that sent wrong chunks."""

    def __init__(self, links: Links, blob_id: str, destination: Path, progress: Progress | None = None) -> None:
        self.banned: set[ID] = set()
        self._links = links
        self._blob_id = blob_id
        self._destination = destination
        self._progress = progress
        self._bad: Counter[ID] = Counter()
        self._todo: list[int] = []
        self._asked: dict[int, set[ID]] = {}
        self._failures: dict[ID, str] = {}
        self._changed = trio.Condition()

    async def run(self, peers: list[ID], size_bytes: int) -> None:
        """Fetch into the destination. Raises: VerificationError, PeerUnreachableError, StorageError.

        After a failure or a cancellation the verified chunks stay on disk for the next fetch.
        """
        chunks = await self._chunk_list(peers)
        if chunks.size_bytes != size_bytes:
            raise VerificationError(f"blob {self._blob_id[:12]} has {chunks.size_bytes} bytes, not {size_bytes}")
        self._file = PartialFile(self._destination, chunks)
        await trio.to_thread.run_sync(self._file.open)
        try:
            self._todo = [i for i in reversed(range(len(chunks.leaves))) if i not in self._file.verified]
            self._report()
            if not self._is_complete():
                await self._fetch_from_all(peers)
            if not self._is_complete():
                raise self._failure()
            await trio.to_thread.run_sync(self._file.finish)
        finally:
            self._file.close()

    async def _chunk_list(self, peers: list[ID]) -> ChunkList:
        errors: list[VizNodeError] = []
        for peer in peers:
            try:
                return await request_chunk_list(self._links, peer, self._blob_id)
            except (PeerUnreachableError, VerificationError) as error:
                errors.append(error)
        raise errors[-1] if errors else PeerUnreachableError(f"no peer serves blob {self._blob_id[:12]}")

    async def _fetch_from_all(self, peers: list[ID]) -> None:
        async with trio.open_nursery() as everything:

            async def work() -> None:
                async with trio.open_nursery() as workers:
                    for peer in dict.fromkeys(peers):
                        workers.start_soon(self._fetch_from, peer)
                everything.cancel_scope.cancel()

            everything.start_soon(work)
            async with self._changed:
                while not self._is_complete():
                    await self._changed.wait()
            everything.cancel_scope.cancel()

    async def _fetch_from(self, peer: ID) -> None:
        for attempt in range(1, _TRIES_PER_PEER + 1):
            try:
                await self._exchange(peer)
                return
            except (*STREAM_FAILURES, PeerUnreachableError) as error:
                self._failures[peer] = f"{peer}: {error or type(error).__name__}"
                _log.debug("fetching from %s: %r", peer, error)
            if peer in self.banned:
                return
            await trio.sleep(0.5 * attempt)

    async def _exchange(self, peer: ID) -> None:
        stream = await self._links.open_stream(peer, PROTOCOL)
        pending: list[int] = []
        try:
            await grant_window(stream, (_PIPELINE + 1) * (CHUNK_BYTES + 64))
            while not self._is_complete() and peer not in self.banned:
                while len(pending) < _PIPELINE and (index := self._take(peer)) is not None:
                    pending.append(index)
                    await stream.write(_REQUEST.pack(_OP_CHUNK, bytes.fromhex(self._blob_id), index))
                if pending:
                    chunk = await self._read_chunk(stream, pending[0])
                    await self._keep(peer, pending.pop(0), chunk)
                else:
                    await self._wait_for_work()
        finally:
            for index in pending:
                self._give_back(peer, index)
            await abandon(stream)

    async def _read_chunk(self, stream: INetStream, index: int) -> bytes:
        status, length = _REPLY.unpack(await read_exact(stream, _REPLY.size))
        if status != _OK or length != self._file.chunks.chunk_size(index):
            raise PeerUnreachableError(f"a peer does not have chunk {index} of blob {self._blob_id[:12]}")
        return await read_exact(stream, length)

    async def _wait_for_work(self) -> None:
        with trio.move_on_after(0.5):
            async with self._changed:
                await self._changed.wait()

    def _take(self, peer: ID) -> int | None:
        while self._todo:
            index = self._todo.pop()
            if index not in self._file.verified:
                self._asked.setdefault(index, set()).add(peer)
                return index
        for index, asked in self._asked.items():
            if peer not in asked and len(asked) < 2 and index not in self._file.verified:
                asked.add(peer)
                return index
        return None

    def _give_back(self, peer: ID, index: int) -> None:
        asked = self._asked.get(index, set())
        asked.discard(peer)
        if index not in self._file.verified and not asked:
            self._todo.append(index)

    async def _keep(self, peer: ID, index: int, chunk: bytes) -> None:
        good = await trio.to_thread.run_sync(self._file.store, index, chunk)
        if good:
            self._asked.pop(index, None)
            if index not in self._file.verified:
                self._file.verified.add(index)
                self._report()
        else:
            self._give_back(peer, index)
            self._bad[peer] += 1
            self._failures[peer] = f"{peer} sent wrong chunks"
            if self._bad[peer] >= _MAX_BAD_CHUNKS:
                self.banned.add(peer)
                _log.warning("peer %s is banned from a fetch: it sent wrong chunks", peer)
        async with self._changed:
            self._changed.notify_all()

    def _is_complete(self) -> bool:
        return len(self._file.verified) == len(self._file.chunks.leaves)

    def _report(self) -> None:
        if self._progress is not None:
            total = self._file.chunks.size_bytes
            self._progress(min(len(self._file.verified) * CHUNK_BYTES, total), total)

    def _failure(self) -> VizNodeError:
        reasons = "; ".join(self._failures.values())[:300]
        cls = VerificationError if self.banned and len(self.banned) == len(self._failures) else PeerUnreachableError
        return cls(f"blob {self._blob_id[:12]} is incomplete ({reasons})", "try again when more peers serve it")
