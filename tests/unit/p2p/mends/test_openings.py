"""A stream that is cancelled while it starts, because the peer reads nothing."""

from typing import Any

import libp2p.stream_muxer.yamux.yamux as library
import pytest
import trio
import trio.testing

from tests.raw_libp2p import Connection, new_peer, raw_host
from viz_node.p2p.mends import openings


class DeafConnection(Connection):
    """Its other end reads nothing."""

    def __init__(self) -> None:
        super().__init__(None, is_initiator=True)

    async def write(self, _data: bytes) -> None:
        await trio.sleep_forever()


def test_upstream__start_is_cancelled__stream_is_kept_and_its_place_is_lost() -> None:
    async def main() -> None:
        muxer = library.Yamux(DeafConnection(), new_peer())  # type: ignore[arg-type]
        with trio.move_on_after(1):
            await muxer.open_stream()
        assert len(muxer.streams) == 1
        assert muxer.stream_backlog_semaphore.value == 255

    trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.01))


def test_install__start_is_cancelled__goes_on_for_five_seconds_so_that_the_library_cleans_up() -> None:
    async def main() -> float:
        host: Any = raw_host()
        network, cleaned_up = host.get_network(), trio.Event()

        async def start(_: Any) -> None:
            try:
                await trio.sleep(4)
            finally:
                if not trio.current_effective_deadline() < trio.current_time():
                    cleaned_up.set()

        network.new_stream = start
        openings.install(host)
        with trio.move_on_after(1):
            await network.new_stream(new_peer())
        assert cleaned_up.is_set()
        network.new_stream = lambda _: trio.sleep_forever()
        openings.install(host)
        with pytest.raises(trio.TooSlowError):
            await network.new_stream(new_peer())
        return float(trio.current_time())

    started, ended = 0.0, trio.run(main, clock=trio.testing.MockClock(autojump_threshold=0.01))
    assert ended - started == pytest.approx(9, abs=0.1)
