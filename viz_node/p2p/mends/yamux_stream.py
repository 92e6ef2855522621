"""A Yamux stream whose writer sleeps until its window opens, and whose reader gives windows back in quarters.

The library looks at an exhausted window every 10 ms and gives up after 5 s; here a writer waits for the update, at most
a minute. The library answers small reads with an update each; here an update goes out per quarter of the window. What
comes after a stream has ended on this side is dropped, and no window is given for it.

Kept true by tests/unit/p2p/mends/test_yamux.py.
"""

import struct
from typing import Any, Final

import trio
from libp2p.stream_muxer.exceptions import MuxedStreamError
from libp2p.stream_muxer.yamux.yamux import MAX_WINDOW_SIZE, TYPE_DATA, TYPE_WINDOW_UPDATE, YamuxStream

FRAME_BYTES: Final = 65_507
HEADER: Final = struct.Struct("!BBHII")
_STALL_SECONDS: Final = 60.0
_RESET_SECONDS: Final = 1.0


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
            header = HEADER.pack(0, TYPE_DATA, 0, self.stream_id, size)
            await self.conn.write_raw(b"".join((header, view[sent : sent + size])))
            sent += size

    async def grant(self, size: int) -> None:
        """Let the other side have `size` bytes on their way here at any time, at most 16 MiB; never takes back."""
        async with self.window_lock:
            increment = min(size, MAX_WINDOW_SIZE) - self.target_recv_window
            if increment > 0:
                self.target_recv_window += increment
                self.recv_window += increment
        if increment > 0:
            await self.send_window_update(increment)

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
        """The state has changed: wake the tasks that wait, and forget the stream once both halves have ended."""
        awaited_by_reader = self.conn.stream_events.get(self.stream_id)
        if self.closed:
            # Its lock is for callers that wait while they hold it; this call does not wait.
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
        await self.conn.write_raw(HEADER.pack(0, TYPE_WINDOW_UPDATE, 0, self.stream_id, increment))
