"""Yamux with an event-driven send window and batched window updates; the same frames on the wire.

The library polls an exhausted window every 10 ms, gives up after 5 s and answers each read with a window update. Here a
writer sleeps until the update comes (at most a minute) and an
update goes out per quarter of the window. Plain data and window frames of known streams take the short path; every
other frame is handed, alone, to the library's own loop.
"""

import struct
from typing import Any, Final

import libp2p.stream_muxer.yamux.yamux as library
import trio
from libp2p.abc import IHost
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.stream_muxer.exceptions import MuxedStreamError
from libp2p.stream_muxer.muxer_multistream import MuxerMultistream
from libp2p.stream_muxer.yamux.yamux import (
    HEADER_SIZE,
    MAX_WINDOW_SIZE,
    PROTOCOL_ID,
    TYPE_DATA,
    TYPE_WINDOW_UPDATE,
    Yamux,
    YamuxStream,
)

FRAME_BYTES: Final = 65_507
_STALL_SECONDS: Final = 60.0
_RESET_SECONDS: Final = 1.0
_MAX_TARGET_BYTES: Final = 4 << 20
_HEADER = struct.Struct("!BBHII")


class FastYamuxStream(YamuxStream):
    """A stream whose writer waits for its window instead of polling."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.target_recv_window: int
        self._pending_recv_release: int
        self.window_opened = trio.Event()

    def wake_writer(self) -> None:
        """The window or the state of the stream has changed."""
        self.window_opened.set()
        self.window_opened = trio.Event()

    async def write(self, data: bytes) -> None:
        """Send all of it. Raises: MuxedStreamError (closed, or no window for a minute)."""
        view = memoryview(data)
        sent = 0
        while sent < len(view):
            await self._wait_for_window()
            size = min(self.send_window, FRAME_BYTES, len(view) - sent)
            self.send_window -= size
            header = _HEADER.pack(0, TYPE_DATA, 0, self.stream_id, size)
            await self.conn.write_raw(b"".join((header, view[sent : sent + size])))
            sent += size

    async def reset(self) -> None:
        """End the stream at once; what came and was not read is dropped, not kept for a minute.

        A peer that reads nothing is not waited for: the caller must come to its own clean-up.
        """
        awaited_by_reader = self.conn.stream_events.get(self.stream_id)
        with trio.move_on_after(_RESET_SECONDS):
            await super().reset()
        self.conn.stream_buffers.pop(self.stream_id, None)
        if awaited_by_reader is not None:
            awaited_by_reader.set()
        # Its lock is for those who wait while they hold it.
        self.conn._finalize_stream_locked(self, fully_closed=True)
        self.wake_writer()

    async def _wait_for_window(self) -> None:
        while True:
            if self.closed or self.send_closed:
                raise MuxedStreamError("Stream is closed for sending")
            if self.send_window > 0:
                return
            with trio.move_on_after(_STALL_SECONDS) as patience:
                await self.window_opened.wait()
            if patience.cancelled_caught:
                raise MuxedStreamError("the other side opened no window for a minute")

    async def _auto_tune_and_send_window_update(self, *, bytes_read: int = 0) -> None:
        self._pending_recv_release += bytes_read
        if self._pending_recv_release < self.target_recv_window // 4:
            return
        increment = self._pending_recv_release
        self._pending_recv_release = 0
        if self.target_recv_window < _MAX_TARGET_BYTES:
            target = min(self.target_recv_window * 2, _MAX_TARGET_BYTES)
            increment += target - self.target_recv_window
            self.target_recv_window = target
        self.recv_window += increment
        await self.conn.write_raw(_HEADER.pack(0, TYPE_WINDOW_UPDATE, 0, self.stream_id, increment))


class _OneFrame:
    """The connection as the library's loop may see it: one frame, then the end of its turn."""

    class Done(BaseException):
        """Leaves the library's loop, past its handlers of ordinary exceptions."""

    def __init__(self, connection: Any, header: bytes) -> None:
        self._connection = connection
        self._header: bytes | None = header

    async def read(self, size: int | None = None) -> bytes:
        """The header first, then the rest of that frame."""
        if self._header is not None:
            header, self._header = self._header, None
            return header
        if size == HEADER_SIZE:
            raise _OneFrame.Done
        return await self._connection.read(size)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)


class FastYamux(Yamux):
    """The library's multiplexer with a short path for the frames that carry bulk data."""

    secured_conn: Any
    _is_broken = False

    @property
    def has_ended(self) -> bool:
        """Whether it opens no more streams; the library tells it a little later, after its clean-up."""
        return self._is_broken or self.event_shutting_down.is_set()

    async def write_raw(self, data: bytes) -> None:
        """Send one frame; frames of different tasks do not mix. Raises: ConnectionClosedError."""
        async with self._write_lock:
            try:
                await self.secured_conn.write(data)
            except ConnectionClosedError:
                self._is_broken = True
                await self.secured_conn.close()  # ends the reader, and with it all streams
                raise
        await trio.lowlevel.checkpoint()

    async def _write_frame(self, data: bytes) -> None:
        await self.write_raw(data)

    async def handle_incoming(self) -> None:
        """Read frames until the connection ends."""
        while not self.event_shutting_down.is_set():
            header = await self._read(HEADER_SIZE)
            if len(header) != HEADER_SIZE:
                break
            _, kind, flags, stream_id, length = _HEADER.unpack(header)
            stream = self.streams.get(stream_id)
            if flags or stream is None or kind not in (TYPE_DATA, TYPE_WINDOW_UPDATE) or length > MAX_WINDOW_SIZE:
                await self._handle_in_library(header)
                for changed in (stream, self.streams.get(stream_id)):
                    if changed is not None:
                        changed.wake_writer()
            elif kind == TYPE_WINDOW_UPDATE:
                stream.send_window += length
                stream.wake_writer()
            elif not await self._take_data(stream, length):
                break
        else:
            return
        self.event_shutting_down.set()
        await self._cleanup_on_error()
        for stream in list(self.streams.values()):
            stream.wake_writer()

    async def _read(self, size: int) -> bytes:
        try:
            return await self.secured_conn.read(size)
        except Exception:  # noqa: BLE001
            # A connection ends in many classes of exception; the caller sees a short read.
            return b""

    async def _take_data(self, stream: Any, length: int) -> bool:
        data = await self._read(length) if length else b""
        stream.recv_window -= length
        # Sending more than was granted is an attack on our memory; the library only warns.
        if len(data) != length or stream.recv_window < 0:
            return False
        buffer = self.stream_buffers.get(stream.stream_id)
        if buffer is not None:
            buffer += data
            self.stream_events[stream.stream_id].set()
        return True

    async def _handle_in_library(self, header: bytes) -> None:
        connection: Any = self.secured_conn
        # Writers that run meanwhile reach the real connection through `_OneFrame.__getattr__`.
        self.secured_conn = _OneFrame(connection, header)
        try:
            await super().handle_incoming()
        except _OneFrame.Done:
            return
        finally:
            self.secured_conn = connection


class _FastMuxers(MuxerMultistream):
    async def new_conn(self, conn: Any, peer_id: Any) -> Any:
        protocol, cls = await self._selector.select(conn, conn.is_initiator, self.negotiate_timeout)
        if protocol != PROTOCOL_ID:
            return self._annotate_connection(cls(conn, peer_id), conn, protocol)

        async def on_close() -> None:
            return

        muxer = FastYamux(conn, peer_id, is_initiator=conn.is_initiator, on_close=on_close)
        return self._annotate_connection(muxer, conn, protocol)


def install(host: IHost) -> None:
    """Let new connections of this host use the faster multiplexer."""
    upgrader: Any = host.get_network().upgrader
    muxers = upgrader.muxer_multistream
    upgrader.muxer_multistream = _FastMuxers(dict(muxers.transports), muxers.negotiate_timeout)
    # The library names its stream class in its own functions; FastYamuxStream needs FastYamux, which is all we use.
    library.YamuxStream = FastYamuxStream
