"""Yamux that checks every frame in one place, before reading a byte of it; its own frames are the library's.

* A frame's length is compared with what its stream was granted, whatever its flags; a peer that sends more loses its
  connection (a stock peer never does).
* A connection has at most 128 streams of the peer's, and opens 100 a second after a burst of 128: it is read no faster.
* What lies unread is weighed (`yamux_scales`).

Kept true by tests/unit/p2p/mends/test_yamux.py.
"""

from typing import Any, Final

import libp2p.stream_muxer.yamux.yamux as library
import trio
from libp2p.abc import IHost
from libp2p.io.exceptions import ConnectionClosedError
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
)

from viz_node.p2p.mends.yamux_scales import Scales
from viz_node.p2p.mends.yamux_stream import HEADER, FastYamuxStream

MAX_INBOUND_STREAMS: Final = 128
_OPENINGS_PER_SECOND: Final = 100.0
_OPENINGS_AT_ONCE: Final = 128.0
_WEIGH_EVERY_BYTES: Final = 1 << 20
_DROP_BYTES: Final = 1 << 16
_FORGET_SECONDS: Final = 60.0


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
        """Bytes that arrived and were not read yet."""
        return sum(map(len, self.stream_buffers.values()))

    async def drop(self) -> None:
        """End the connection: its reader ends, and with it all streams."""
        await self.secured_conn.close()

    async def write_raw(self, data: bytes) -> None:
        """Send one frame; frames of different tasks do not mix. Raises: ConnectionClosedError."""
        async with self._write_lock:
            try:
                await self.secured_conn.write(data)
            except ConnectionClosedError:
                self._is_broken = True
                await self.drop()
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
        version, kind, flags, stream_id, length = HEADER.unpack(header)
        if version != 0:
            return False
        if kind == TYPE_PING:
            if flags & FLAG_SYN:
                await self.write_raw(HEADER.pack(0, TYPE_PING, FLAG_ACK, 0, length))
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
        """A new stream of the peer's, or None when the frame also ends it or there are too many."""
        if flags & FLAG_RST:
            return None
        await self._slow_down()
        inbound = sum(each % 2 != self.is_initiator_value for each in self.streams)
        if inbound >= MAX_INBOUND_STREAMS:
            await self.write_raw(HEADER.pack(0, TYPE_WINDOW_UPDATE, FLAG_RST, stream_id, 0))
            return None
        stream = FastYamuxStream(stream_id, self, False)
        self.streams[stream_id] = stream
        self.stream_buffers[stream_id] = bytearray()
        self.stream_events[stream_id] = trio.Event()
        await self.write_raw(HEADER.pack(0, TYPE_WINDOW_UPDATE, FLAG_ACK, stream_id, 0))
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
        """Drop the bytes on their way to a stream that has ended: at most a window."""
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
            ended_at = stream.ended_at
            if ended_at is not None and now - ended_at > _FORGET_SECONDS:
                stream.closed = True
        swept: int = super()._sweep_stale_streams(now)
        return swept


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
