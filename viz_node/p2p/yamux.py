"""Yamux with an event-driven send window, batched window updates and bounds on what a peer makes us hold.

The frames on the wire are the library's. The library polls an exhausted window every 10 ms, gives up after 5 s and
answers each read with a window update; here a writer sleeps until the update comes (at most a minute) and an update
goes out per quarter of the window. Every frame of every kind is read here, so that one place judges it:

* a frame's length is compared with what its stream was granted before a byte of it is read, whatever its flags; a peer
  that sends more loses its connection (a stock peer never does);
* nobody waits for what comes after a stream has ended on this side: it is dropped, and no window is given for it;
* a connection has at most 128 streams of the peer's, and opens 100 a second after a burst of 128: it is read no faster;
* what lies unread is weighed: 64 MiB on one connection, 256 MiB on all; the heaviest connection is closed then.

Kept true by tests/unit/p2p/test_yamux.py.
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
    FLAG_ACK,
    FLAG_FIN,
    FLAG_RST,
    FLAG_SYN,
    HEADER_SIZE,
    MAX_WINDOW_SIZE,
    PROTOCOL_ID,
    TYPE_DATA,
    TYPE_PING,
    TYPE_WINDOW_UPDATE,
    Yamux,
    YamuxStream,
)

FRAME_BYTES: Final = 65_507
MAX_INBOUND_STREAMS: Final = 128
MAX_UNREAD_BYTES: Final = 64 << 20
MAX_UNREAD_BYTES_IN_ALL: Final = 256 << 20
_OPENINGS_PER_SECOND: Final = 100.0
_OPENINGS_AT_ONCE: Final = 128.0
_WEIGH_EVERY_BYTES: Final = 1 << 20
_DROP_BYTES: Final = 1 << 16
_FORGET_SECONDS: Final = 60.0
_STALL_SECONDS: Final = 60.0
_RESET_SECONDS: Final = 1.0
_HEADER = struct.Struct("!BBHII")


class FastYamuxStream(YamuxStream):
    """A stream whose writer waits for its window instead of polling."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.target_recv_window: int
        self._pending_recv_release: int
        self.window_opened = trio.Event()
        self.ended_at: float | None = None

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
        self.closed = True
        self.end_reading()
        if awaited_by_reader is not None:
            awaited_by_reader.set()

    def end_reading(self) -> None:
        """Nobody reads any more: drop what is there and what comes."""
        if self.ended_at is None:
            self.ended_at = trio.current_time()
        buffer = self.conn.stream_buffers.get(self.stream_id)
        if buffer:
            buffer.clear()
        self.settle()

    def settle(self) -> None:
        """The state has changed: wake whoever waits, and forget the stream once both halves have ended."""
        awaited_by_reader = self.conn.stream_events.get(self.stream_id)
        if self.closed:
            # Its lock is for those who wait while they hold it.
            self.conn._finalize_stream_locked(self, fully_closed=True)
        if awaited_by_reader is not None:
            awaited_by_reader.set()
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
        if self._pending_recv_release < self.target_recv_window // 4 or self.recv_closed:
            return
        increment = self._pending_recv_release
        self._pending_recv_release = 0
        self.recv_window += increment
        await self.conn.write_raw(_HEADER.pack(0, TYPE_WINDOW_UPDATE, 0, self.stream_id, increment))


class Scales:
    """What lies unread on all connections of one host, weighed anew when there may be too much."""

    def __init__(self) -> None:
        self._unread: dict[FastYamux, int] = {}

    async def weigh(self, connection: "FastYamux") -> bool:
        """Whether this connection may go on; the heaviest of all is closed when they are too heavy together."""
        self._unread[connection] = connection.unread_bytes()
        if self._unread[connection] > MAX_UNREAD_BYTES:
            return False
        if sum(self._unread.values()) <= MAX_UNREAD_BYTES_IN_ALL:
            return True
        self._unread = {each: each.unread_bytes() for each in self._unread}
        if sum(self._unread.values()) <= MAX_UNREAD_BYTES_IN_ALL:
            return True
        heaviest = max(self._unread, key=lambda each: self._unread[each])
        if heaviest is connection:
            return False
        await heaviest.secured_conn.close()  # ends its reader, and with it all its streams
        return True

    def forget(self, connection: "FastYamux") -> None:
        """It has ended."""
        self._unread.pop(connection, None)


class FastYamux(Yamux):
    """The library's multiplexer with its own reading of frames."""

    secured_conn: Any
    scales: Scales
    _rtt: float
    _is_broken = False
    _arrived = 0
    _openings = _OPENINGS_AT_ONCE
    _opened_at = 0.0

    @property
    def has_ended(self) -> bool:
        """Whether it opens no more streams; the library tells it a little later, after its clean-up."""
        return self._is_broken or self.event_shutting_down.is_set()

    @property
    def has_streams_of_peer(self) -> bool:
        """Whether a stream that the peer opened is open."""
        return any(stream_id % 2 != self.is_initiator_value for stream_id in self.streams)

    def unread_bytes(self) -> int:
        """What was sent here and not read yet."""
        return sum(map(len, self.stream_buffers.values()))

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
        try:
            while not self.event_shutting_down.is_set():
                header = await self._read(HEADER_SIZE)
                if len(header) != HEADER_SIZE or not await self._take_frame(header):
                    break
            else:
                return
        except (ConnectionClosedError, trio.ClosedResourceError, trio.BrokenResourceError):
            pass  # a frame could not be answered
        finally:
            self.scales.forget(self)
        self.event_shutting_down.set()
        streams = list(self.streams.values())
        await self._cleanup_on_error()
        _wake_writers(streams)

    async def close(self, *arguments: Any) -> None:
        """Say good-bye and end all streams."""
        streams = list(self.streams.values())
        await super().close(*arguments)
        _wake_writers(streams)

    async def _read(self, size: int) -> bytes:
        try:
            data: bytes = await self.secured_conn.read(size)
        except Exception:  # noqa: BLE001
            # A connection ends in many classes of exception; the caller sees a short read.
            return b""
        return data

    async def _take_frame(self, header: bytes) -> bool:
        """Whether the peer keeps to the protocol."""
        version, kind, flags, stream_id, length = _HEADER.unpack(header)
        if version != 0:
            return False
        if kind == TYPE_PING:
            if flags & FLAG_SYN:
                await self.write_raw(_HEADER.pack(0, TYPE_PING, FLAG_ACK, 0, length))
            elif flags & FLAG_ACK:
                self._note_round_trip()
            return True
        if kind not in (TYPE_DATA, TYPE_WINDOW_UPDATE):
            return False  # the peer says good-bye, or nothing that is known
        stream: Any = self.streams.get(stream_id)
        if flags & FLAG_SYN:
            if stream is not None or stream_id % 2 == self.is_initiator_value or stream_id == 0:
                return False
            stream = await self._admit(stream_id, flags)
        if kind == TYPE_DATA:
            if not await self._take_data(stream, length):
                return False
        elif stream is not None:
            stream.send_window += length
        if stream is not None:
            self._note_flags(stream, flags)
        return True

    async def _admit(self, stream_id: int, flags: int) -> Any:
        """A new stream of the peer's, or None when it is ended in the same breath or there are too many."""
        if flags & FLAG_RST:
            return None
        await self._slow_down()
        inbound = sum(each % 2 != self.is_initiator_value for each in self.streams)
        if inbound >= MAX_INBOUND_STREAMS:
            await self.write_raw(_HEADER.pack(0, TYPE_WINDOW_UPDATE, FLAG_RST, stream_id, 0))
            return None
        stream = FastYamuxStream(stream_id, self, False)
        self.streams[stream_id] = stream
        self.stream_buffers[stream_id] = bytearray()
        self.stream_events[stream_id] = trio.Event()
        await self.write_raw(_HEADER.pack(0, TYPE_WINDOW_UPDATE, FLAG_ACK, stream_id, 0))
        await self.new_stream_send_channel.send(stream)
        return stream

    async def _slow_down(self) -> None:
        now = trio.current_time()
        allowance = self._openings + (now - self._opened_at) * _OPENINGS_PER_SECOND
        self._openings, self._opened_at = min(allowance, _OPENINGS_AT_ONCE) - 1, now
        if self._openings < 0:
            await trio.sleep(-self._openings / _OPENINGS_PER_SECOND)

    async def _take_data(self, stream: Any, length: int) -> bool:
        if stream is None:
            return await self._drop(length)
        if length > stream.recv_window:
            return False  # more than was granted: an attack on our memory
        stream.recv_window -= length
        if stream.ended_at is not None:
            return await self._drop(length)
        data = await self._read(length) if length else b""
        if len(data) != length:
            return False
        buffer = self.stream_buffers.get(stream.stream_id)
        if buffer is not None and stream.ended_at is None:
            buffer += data
            self.stream_events[stream.stream_id].set()
        self._arrived += length
        if self._arrived < _WEIGH_EVERY_BYTES:
            return True
        self._arrived = 0
        return await self.scales.weigh(self)

    async def _drop(self, length: int) -> bool:
        """What was on its way to a stream that has ended: at most a window of it."""
        if length > MAX_WINDOW_SIZE:
            return False
        while length:
            size = min(length, _DROP_BYTES)
            if len(await self._read(size)) != size:
                return False
            length -= size
        return True

    def _note_flags(self, stream: Any, flags: int) -> None:
        if flags & FLAG_FIN:
            stream.recv_closed = True
            stream.closed = stream.closed or stream.send_closed
        if flags & FLAG_RST:
            stream.closed = stream.reset_received = True
            if not stream.recv_closed:  # nobody can read it
                stream.end_reading()
        if flags & (FLAG_FIN | FLAG_RST):
            stream.settle()
        else:
            stream.wake_writer()

    def _note_round_trip(self) -> None:
        sample = trio.current_time() - self._ping_sent_time
        self._rtt = (self._rtt + sample) / 2 if self._rtt else sample
        self._ping_event.set()

    def _sweep_stale_streams(self, now: float | None = None) -> int:
        """As in the library, every half minute; a peer that does not end its half is not waited for either."""
        now = trio.current_time() if now is None else now
        for stream in self.streams.values():
            ended_at = stream.ended_at  # type: ignore[attr-defined]
            if ended_at is not None and now - ended_at > _FORGET_SECONDS:
                stream.closed = True
        return super()._sweep_stale_streams(now)


def _wake_writers(streams: list[Any]) -> None:
    for stream in streams:
        stream.wake_writer()


class _FastMuxers(MuxerMultistream):
    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._scales = Scales()

    async def new_conn(self, conn: Any, peer_id: Any) -> Any:
        protocol, cls = await self._selector.select(conn, conn.is_initiator, self.negotiate_timeout)
        if protocol != PROTOCOL_ID:
            return self._annotate_connection(cls(conn, peer_id), conn, protocol)

        async def on_close() -> None:
            return

        muxer = FastYamux(conn, peer_id, is_initiator=conn.is_initiator, on_close=on_close)
        muxer.scales = self._scales
        return self._annotate_connection(muxer, conn, protocol)


def install(host: IHost) -> None:
    """Let new connections of this host use the faster multiplexer."""
    upgrader: Any = host.get_network().upgrader
    muxers = upgrader.muxer_multistream
    upgrader.muxer_multistream = _FastMuxers(dict(muxers.transports), muxers.negotiate_timeout)
    # The library names its stream class in its own functions; FastYamuxStream needs FastYamux, which is all we use.
    library.YamuxStream = FastYamuxStream
