"""The multiplexer against peers that do not keep to the protocol, over a connection in memory."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import libp2p.stream_muxer.yamux.yamux as library
import pytest
import trio
import trio.testing
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.stream_muxer.exceptions import MuxedStreamError

from tests.raw_libp2p import Connection, new_peer
from viz_node.p2p.mends import yamux, yamux_scales
from viz_node.p2p.mends.yamux import FastYamux
from viz_node.p2p.mends.yamux_scales import Scales
from viz_node.p2p.mends.yamux_stream import HEADER, FastYamuxStream

DATA, WINDOW, PING, GO_AWAY = range(4)
SYN, ACK, FIN, RST = 1, 2, 4, 8
GRANTED = 256 * 1024


class Peer:
    """The other end: sends frames of any kind, and reads those that come."""

    def __init__(self, stream: Any, muxer: Any) -> None:
        self.muxer = muxer
        self._connection = Connection(stream)

    async def send(self, kind: int, flags: int, stream_id: int, length: int, body: bytes = b"") -> None:
        await self._connection.write(HEADER.pack(0, kind, flags, stream_id, length) + body)
        await trio.testing.wait_all_tasks_blocked()

    async def frame(self) -> tuple[int, int, int, int]:
        _, kind, flags, stream_id, length = HEADER.unpack(await self._connection.read(12))
        return kind, flags, stream_id, length

    async def open(self, stream_id: int) -> FastYamuxStream:
        await self.send(WINDOW, SYN, stream_id, 0)
        stream = self.muxer.streams[stream_id]
        assert isinstance(stream, FastYamuxStream)
        return stream


@asynccontextmanager
async def peer_of_the_librarys() -> AsyncIterator[Peer]:
    """The other end of the library's own muxer, whose streams are the library's own, too."""
    ours, theirs = trio.testing.memory_stream_pair()
    mended, library.YamuxStream = library.YamuxStream, FastYamuxStream.__base__  # type: ignore[misc]
    muxer: Any = library.Yamux(Connection(ours), new_peer())  # type: ignore[arg-type]
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(muxer.handle_incoming)
            nursery.start_soon(accept_all, muxer)
            yield Peer(theirs, muxer)
            nursery.cancel_scope.cancel()
    finally:
        library.YamuxStream = mended  # type: ignore[misc]


async def accept_all(muxer: Any) -> None:
    async for _ in muxer.new_stream_receive_channel:
        pass


@asynccontextmanager
async def peer_of_a_muxer(scales: Scales) -> AsyncIterator[Peer]:
    library.YamuxStream = FastYamuxStream  # type: ignore[misc]
    ours, theirs = trio.testing.memory_stream_pair()
    muxer = FastYamux(Connection(ours), None, is_initiator=False)  # type: ignore[arg-type]
    muxer.scales = scales

    async with trio.open_nursery() as nursery:
        nursery.start_soon(muxer.handle_incoming)
        nursery.start_soon(accept_all, muxer)
        yield Peer(theirs, muxer)
        nursery.cancel_scope.cancel()


def play(act: Callable[[Peer], Awaitable[None]], clock: Any = None, is_mended: bool = True) -> None:
    """Let the act have a peer, in a minute at most."""

    async def main() -> None:
        with trio.fail_after(60):
            async with peer_of_a_muxer(Scales()) if is_mended else peer_of_the_librarys() as peer:
                await act(peer)

    trio.run(main, clock=clock)


def test_upstream__data_on_the_frame_that_opens_a_stream__may_be_more_than_was_granted() -> None:
    async def act(peer: Peer) -> None:
        await peer.send(DATA, SYN, 1, 4 * GRANTED, bytes(4 * GRANTED))
        assert (len(peer.muxer.stream_buffers[1]), peer.muxer.event_shutting_down.is_set()) == (4 * GRANTED, False)

    play(act, is_mended=False)


def test_upstream__data_without_flags__may_be_more_than_was_granted() -> None:
    async def act(peer: Peer) -> None:
        await peer.send(WINDOW, SYN, 1, 0)
        for _ in range(4):
            await peer.send(DATA, 0, 1, GRANTED, bytes(GRANTED))
        assert (len(peer.muxer.stream_buffers[1]), peer.muxer.event_shutting_down.is_set()) == (4 * GRANTED, False)

    play(act, is_mended=False)


def test_upstream__streams_of_a_peer__have_no_limit_and_what_lies_unread_on_them_has_none() -> None:
    async def act(peer: Peer) -> None:
        for number in range(300):
            await peer.send(DATA, SYN, 1 + 2 * number, GRANTED, bytes(GRANTED))
        assert sum(map(len, peer.muxer.stream_buffers.values())) == 300 * GRANTED > yamux_scales.MAX_UNREAD_BYTES
        assert yamux.MAX_INBOUND_STREAMS < 300

    play(act, is_mended=False)


def test_upstream__stream_was_closed_here__what_comes_is_kept() -> None:
    async def act(peer: Peer) -> None:
        await peer.send(WINDOW, SYN, 1, 0)
        stream = peer.muxer.streams[1]
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.close)
            assert await peer.frame() == (WINDOW, ACK, 1, 0)
            assert await peer.frame() == (WINDOW, FIN, 1, 0)
        await peer.send(DATA, 0, 1, 1000, bytes(1000))
        assert len(peer.muxer.stream_buffers[1]) == 1000

    play(act, is_mended=False)


@pytest.mark.parametrize("is_mended", [False, True])
def test_upstream__peer_opens_no_window__writer_gives_up_after_five_seconds_not_sixty(
    is_mended: bool,
) -> None:
    async def act(peer: Peer) -> None:
        await peer.send(WINDOW, SYN, 1, 0)
        stream = peer.muxer.streams[1]
        stream.send_window = 0
        started = trio.current_time()
        with pytest.raises(MuxedStreamError):
            await stream.write(b"x")
        assert trio.current_time() - started == pytest.approx(60 if is_mended else 5, abs=0.1)

    async def main() -> None:
        async with peer_of_a_muxer(Scales()) if is_mended else peer_of_the_librarys() as peer:
            await act(peer)

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0))


class BrokenConnection(Connection):
    """The socket has ended, and nobody has told yet."""

    async def write(self, _data: bytes) -> None:
        raise ConnectionClosedError("broken")

    async def close(self) -> None:
        return


def test_upstream__write_shows_that_the_connection_has_ended__the_muxer_says_so_at_once_here_only() -> None:
    async def main() -> None:
        connection: Any = BrokenConnection(None)
        raw, mended = library.Yamux(connection, new_peer()), FastYamux(connection, new_peer())
        for muxer in (raw, mended):
            with pytest.raises(ConnectionClosedError):
                await muxer._write_frame(b"")
        assert (raw.is_closed, mended.has_ended) == (False, True)

    trio.run(main)


@pytest.mark.parametrize("is_mended", [False, True])
def test_upstream__hundred_small_reads__each_is_answered_with_a_window_instead_of_two_in_all(is_mended: bool) -> None:
    async def act(peer: Peer) -> None:
        await peer.send(WINDOW, SYN, 1, 0)
        assert await peer.frame() == (WINDOW, ACK, 1, 0)
        answered = 0
        async with trio.open_nursery() as nursery:

            async def count() -> None:
                nonlocal answered
                while True:
                    kind, flags, *_ = await peer.frame()
                    answered += (kind, flags) == (WINDOW, 0)

            nursery.start_soon(count)
            for _ in range(100):
                await peer.send(DATA, 0, 1, 1400, bytes(1400))
                assert len(await peer.muxer.streams[1].read(1400)) == 1400
            await trio.testing.wait_all_tasks_blocked()
            nursery.cancel_scope.cancel()
        assert answered == (2 if is_mended else 100)

    play(act, is_mended=is_mended)


@pytest.mark.parametrize("flags", range(16))
def test_data__more_than_was_granted__ends_the_connection_before_a_byte_of_it_is_read(flags: int) -> None:
    async def act(peer: Peer) -> None:
        if not flags & SYN:
            await peer.open(1)
        await peer.send(DATA, flags, 1, GRANTED + 1 if flags & (SYN | RST) != SYN | RST else (16 << 20) + 1)
        assert peer.muxer.has_ended

    play(act)


@pytest.mark.parametrize("flags", [0, ACK, FIN, ACK | FIN])
def test_data__all_that_was_granted__is_there_and_no_byte_more(flags: int) -> None:
    async def act(peer: Peer) -> None:
        stream = await peer.open(1)
        await peer.send(DATA, flags, 1, GRANTED, bytes(GRANTED))
        assert (peer.muxer.unread_bytes(), peer.muxer.has_ended) == (GRANTED, False)
        assert stream.recv_closed == bool(flags & FIN)
        await peer.send(DATA, flags, 1, 1)
        assert peer.muxer.has_ended

    play(act)


def test_data__on_the_frame_that_opens_the_stream__is_read_with_its_end() -> None:
    async def act(peer: Peer) -> None:
        await peer.send(DATA, SYN | FIN, 1, 3, b"all")
        stream = peer.muxer.streams[1]
        assert await stream.read(10) == b"all"
        with pytest.raises(Exception, match="closed"):
            await stream.read(10)

    play(act)


@pytest.mark.parametrize(
    ("kind", "flags", "stream_id"),
    [(WINDOW, SYN, 1), (WINDOW, SYN, 4), (DATA, SYN, 0), (GO_AWAY, 0, 0), (4, 0, 0), (255, 15, 1)],
)
def test_frame__that_no_peer_sends__ends_the_connection(kind: int, flags: int, stream_id: int) -> None:
    async def act(peer: Peer) -> None:
        await peer.open(1)
        await peer.send(kind, flags, stream_id, 0)
        assert peer.muxer.has_ended

    play(act)


def test_end_reading__peer_sends_on__nothing_is_kept_and_no_window_is_given() -> None:
    async def act(peer: Peer) -> None:
        stream = await peer.open(1)
        await peer.send(DATA, 0, 1, 1000, bytes(1000))
        stream.end_reading()
        await peer.send(DATA, 0, 1, GRANTED - 1000, bytes(GRANTED - 1000))
        assert (peer.muxer.unread_bytes(), peer.muxer.has_ended) == (0, False)
        await peer.send(DATA, 0, 1, 1)
        assert peer.muxer.has_ended

    play(act)


def test_end_reading__peer_never_ends_its_half__is_forgotten_after_a_minute() -> None:
    async def act(peer: Peer) -> None:
        stream = await peer.open(1)
        await peer.frame()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(stream.close)
            assert await peer.frame() == (WINDOW, FIN, 1, 0)
        stream.end_reading()
        now = trio.current_time()
        assert peer.muxer._sweep_stale_streams(now + 59) == 0
        assert peer.muxer._sweep_stale_streams(now + 61) == 1
        assert not peer.muxer.streams
        await peer.send(DATA, FIN, 1, 1000, bytes(1000))
        assert not peer.muxer.has_ended

    play(act)


@pytest.mark.parametrize("waits", ["reader", "writer"])
@pytest.mark.parametrize("how", ["reset", "end"])
def test_stream__ends_while_somebody_waits__is_woken(waits: str, how: str) -> None:
    async def act(peer: Peer) -> None:
        stream = await peer.open(1)
        stream.send_window = 0

        async def wait() -> None:
            with pytest.raises(MuxedStreamError):
                await (stream.read(1) if waits == "reader" else stream.write(b"x"))

        async with trio.open_nursery() as nursery:
            nursery.start_soon(wait)
            await trio.testing.wait_all_tasks_blocked()
            if how == "reset":
                await peer.send(WINDOW, RST, 1, 0)
            else:
                await peer.send(GO_AWAY, 0, 0, 0)

    play(act)


def test_streams__more_than_a_connection_may_have__are_reset_and_the_others_live() -> None:
    async def act(peer: Peer) -> None:
        last = 1 + 2 * yamux.MAX_INBOUND_STREAMS
        for stream_id in range(1, last, 2):
            await peer.send(WINDOW, SYN, stream_id, 0)
            assert await peer.frame() == (WINDOW, ACK, stream_id, 0)
        await peer.send(WINDOW, SYN, last, 0)
        with trio.fail_after(5):
            assert await peer.frame() == (WINDOW, RST, last, 0)
        await peer.send(WINDOW, RST, 1, 0)
        await peer.send(WINDOW, SYN, last + 2, 0)
        assert await peer.frame() == (WINDOW, ACK, last + 2, 0)
        assert len(peer.muxer.streams) == yamux.MAX_INBOUND_STREAMS

    play(act)


def test_streams__opened_without_end__are_read_a_hundred_a_second() -> None:
    async def act(peer: Peer) -> None:
        for number in range(10 * yamux.MAX_INBOUND_STREAMS):
            await peer._connection.write(
                HEADER.pack(0, WINDOW, SYN, 1 + 2 * number, 0) + HEADER.pack(0, WINDOW, RST, 1 + 2 * number, 0)
            )
        started = trio.current_time()
        for number in range(10 * yamux.MAX_INBOUND_STREAMS):
            assert await peer.frame() == (WINDOW, ACK, 1 + 2 * number, 0)
        assert 9 <= (trio.current_time() - started) / yamux.MAX_INBOUND_STREAMS * 100 <= 9.1

    play(act, trio.testing.MockClock(autojump_threshold=0.001))


def test_stream__opened_and_reset_in_one_frame__costs_nothing() -> None:
    async def act(peer: Peer) -> None:
        for number in range(10_000):
            await peer._connection.write(HEADER.pack(0, WINDOW, SYN | RST, 1 + 2 * number, 0))
        await trio.testing.wait_all_tasks_blocked()
        assert (len(peer.muxer.streams), peer.muxer.has_ended) == (0, False)
        assert peer.muxer._openings == yamux._OPENINGS_AT_ONCE

    play(act)


def test_weigh__unread_on_one_or_on_all__the_heaviest_connection_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(yamux, "_WEIGH_EVERY_BYTES", 1)
    monkeypatch.setattr(yamux_scales, "MAX_UNREAD_BYTES", 1000)
    monkeypatch.setattr(yamux_scales, "MAX_UNREAD_BYTES_IN_ALL", 1500)

    async def main() -> None:
        scales = Scales()
        with trio.fail_after(60):
            async with (
                peer_of_a_muxer(scales) as first,
                peer_of_a_muxer(scales) as second,
                peer_of_a_muxer(scales) as third,
            ):
                for peer, size in ((first, 600), (second, 800)):
                    await peer.open(1)
                    await peer.send(DATA, 0, 1, size, bytes(size))
                assert await first.muxer.streams[1].read(300)
                await third.open(1)
                await third.send(DATA, ACK, 1, 300, bytes(300))
                assert [peer.muxer.has_ended for peer in (first, second, third)] == [False, False, False]
                await third.send(DATA, 0, 1, 200, bytes(200))
                assert [peer.muxer.has_ended for peer in (first, second, third)] == [False, True, False]
                await third.send(DATA, 0, 1, 501, bytes(501))
                assert [peer.muxer.has_ended for peer in (first, second, third)] == [False, True, True]

    trio.run(main)
