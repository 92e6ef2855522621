"""What becomes of a stream, and of the host, when a handler ends."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
import trio
from libp2p.network.connection.swarm_connection import SwarmConn

from tests.raw_libp2p import Stream, new_peer, raw_host
from viz_node.p2p.mends import handlers


async def fails(_: Any) -> None:
    raise ValueError("a defect")


async def returns(_: Any) -> None:
    return


async def handle(host: Any, handler: Callable[[Any], Awaitable[None]], is_mended: bool) -> Stream:
    """Let the host's handler have a stream that a peer has opened."""
    network, stream = host.get_network(), Stream(new_peer())
    network.set_stream_handler(handler)
    if is_mended:
        handlers.install(host)
    await SwarmConn(stream.muxed_conn, network)._handle_muxed_stream(stream)  # type: ignore[arg-type]
    return stream


def test_upstream__handler_fails__error_goes_up_to_the_host() -> None:
    with pytest.raises(ValueError, match="a defect"):
        trio.run(handle, raw_host(), fails, False)


def test_upstream__handler_returns__its_stream_stays_open() -> None:
    assert not trio.run(handle, raw_host(), returns, False).was_reset


@pytest.mark.parametrize("handler", [fails, returns])
def test_install__handler_ends__ends_its_stream_and_nothing_else(handler: Any) -> None:
    assert trio.run(handle, raw_host(), handler, True).was_reset


async def test_closed_stream__whoever_closed_it__is_told_that_nobody_reads() -> None:
    stream, network = Stream(new_peer()), raw_host().get_network()
    await handlers.EndOfStreams().closed_stream(network, stream)  # type: ignore[arg-type]
    assert stream.is_unread
