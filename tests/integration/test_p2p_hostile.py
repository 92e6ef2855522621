"""Peers that hold, send or open more than they should, against real networks on loopback."""

import asyncio
import os
import socket
import struct
import threading
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from typing import Any

import pytest
import trio
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.utils.varint import encode_uvarint

from tests.integration.test_p2p_network import connection_of, echo, network
from tests.strangers import come_and_go, connect_many
from tests.waiting import until
from viz_node.errors import PeerUnreachableError
from viz_node.p2p.admission import MAX_INBOUND, MAX_INBOUND_PER_PEER
from viz_node.p2p.network import PeerNetwork
from viz_node.p2p.streams import STREAM_FAILURES, abandon, finish

REQUEST, BLOB, TUNNEL = "/viz/request/1.0.0", "/viz/blob/1.0.0", "/viz/tunnel/1.0.0"
CATALOG, DHT = "/viz/catalog/1.0.0", "/ipfs/kad/1.0.0"
PLACES = {REQUEST: 8, BLOB: 6, TUNNEL: 8, CATALOG: 2, DHT: 3}
BUSY = {REQUEST: b"the node is busy", BLOB: b"\x02", TUNNEL: b"\x00", CATALOG: b"", DHT: b""}

CONNECTIONS = int(os.environ.get("VIZ_TEST_CONNECTIONS", "300"))  # 2000 in `make strangers`


async def run(network: PeerNetwork, act: Any, *arguments: object) -> Any:
    """Let the act have the core of a network, in its thread."""
    thread, core = network.runner.running()
    return await thread.call(act, core, *arguments)


async def unread(core: Any) -> int:
    return connection_of(core).muxed_conn.unread_bytes()  # type: ignore[no-any-return]


async def hold(core: Any, protocol: str) -> Any:
    """Open a stream and begin what is never finished."""
    host = core.links.host
    stream = await host.new_stream(host.get_connected_peers()[0], [protocol])
    await stream.write(b"\x40" if protocol == DHT else b"\0\0")
    return stream


async def first_answer(core: Any, protocol: str) -> bytes | None:
    """What the peer says to one more stream before it has got anything; None when it waits for more."""
    host = core.links.host
    try:
        stream = await host.new_stream(host.get_connected_peers()[0], [protocol])
    except STREAM_FAILURES:
        return b""  # reset as soon as its protocol was known
    try:
        with trio.move_on_after(0.5):
            said = b""
            while True:
                try:
                    said += await stream.read(1000)
                except STREAM_FAILURES:
                    return said
        return None
    finally:
        await abandon(stream)


@pytest.mark.parametrize("protocol", PLACES)
@pytest.mark.parametrize("end", [abandon, finish])
async def test_places__one_peer_takes_all_of_its_own__is_refused_unread_and_gets_them_back(
    protocol: str, end: Any
) -> None:
    async def take_all(core: Any) -> list[Any]:
        return [await hold(core, protocol) for _ in range(PLACES[protocol])]

    async def give_back(_: Any, held: list[Any]) -> None:
        for stream in held:
            await end(stream)

    async def is_served(core: Any) -> bool:
        return await first_answer(core, protocol) is None

    async with network() as a, network() as b, network() as c:
        for peer in (b, c):
            await peer.connect(a.addresses[0])
        held = await run(b, take_all)
        answer = await run(b, first_answer, protocol)
        assert answer is not None
        assert BUSY[protocol] in answer
        assert await run(c, first_answer, protocol) is None
        await run(b, give_back, held)
        await until(lambda: run(b, is_served), 5)


async def test_dht__message_larger_than_any_honest_one__is_not_read() -> None:
    async def send(core: Any, size: int) -> bool:
        host = core.links.host
        stream = await host.new_stream(host.get_connected_peers()[0], [DHT])
        await stream.write(encode_uvarint(size))
        with trio.move_on_after(0.5):
            try:
                await stream.read(1)
            except STREAM_FAILURES:
                return False
        await abandon(stream)
        return True

    async with network() as a, network() as b:
        await b.connect(a.addresses[0])
        assert await run(b, send, 256 << 10)
        assert not await run(b, send, (256 << 10) + 1)


async def test_places__connection_breaks_under_them__are_given_back() -> None:
    async def take_all(core: Any) -> None:
        for _ in range(PLACES[REQUEST]):
            await hold(core, REQUEST)
        await connection_of(core).muxed_conn.secured_conn.close()

    async with network() as a, network() as b:
        a.serve("echo", echo)
        await b.connect(a.addresses[0])
        await run(b, take_all)

        async def is_served() -> bool:
            return await b.request(a.peer_id, "echo", b"again", addresses=tuple(a.addresses)) == b"again"

        assert await is_served()


async def test_request__large_one_to_a_busy_node__is_refused_at_once() -> None:
    async def take_all(core: Any) -> None:
        for _ in range(PLACES[REQUEST]):
            await hold(core, REQUEST)

    async with network() as a, network() as b:
        a.serve("echo", echo)
        await b.connect(a.addresses[0])
        await run(b, take_all)
        with pytest.raises(Exception, match="the node is busy"):
            await asyncio.wait_for(b.request(a.peer_id, "echo", bytes(1_000_000), 20), 5)


@pytest.mark.parametrize(
    ("protocol", "first"),
    [
        (TUNNEL, struct.pack(">I", 4) + b"nope"),
        (TUNNEL, struct.pack(">I", 1 << 19)),
        (REQUEST, struct.pack(">I", 1 << 30)),
    ],
)
async def test_stream__refused__keeps_nothing_of_what_follows(protocol: str, first: bytes) -> None:
    async def flood(core: Any) -> None:
        host = core.links.host
        for _ in range(20):
            stream = await host.new_stream(host.get_connected_peers()[0], [protocol])
            await stream.write(first)
            with trio.move_on_after(0.1):
                try:
                    while True:
                        await stream.write(bytes(60_000))
                except STREAM_FAILURES:
                    continue

    async with network() as a, network() as b:
        await b.connect(a.addresses[0])
        await run(b, flood)

        async def is_empty() -> bool:
            return await run(a, unread) < 10_000

        await until(is_empty, 5)


def places_taken(node: PeerNetwork) -> int:
    _, core = node.runner.running()
    return core.places.taken


@asynccontextmanager
async def holding(address: str, number: int, keys: Any, source: str) -> AsyncIterator[None]:
    """So many connections, held in a thread of their own."""
    ready, leave = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    async def hold() -> None:
        connections = await connect_many(address, number, keys, source)
        loop.call_soon_threadsafe(ready.set)
        await trio.to_thread.run_sync(leave.wait)
        for connection in connections:
            await connection.close()

    held = asyncio.create_task(asyncio.to_thread(trio.run, hold))
    try:
        async with asyncio.timeout(30):
            await ready.wait()
        yield
    finally:
        leave.set()
        await held


async def is_served(honest: PeerNetwork, node: PeerNetwork) -> bool:
    return await honest.request(node.peer_id, "echo", b"x", 10, tuple(node.addresses)) == b"x"


@pytest.mark.parametrize("identities", ["many", "one"])
async def test_connections__more_than_all_places_come_and_go__an_honest_peer_is_served(identities: str) -> None:
    keys = create_new_key_pair(os.urandom(32)) if identities == "one" else None
    async with network() as a, network() as b:
        a.serve("echo", echo)
        await asyncio.to_thread(trio.run, come_and_go, a.addresses[0], CONNECTIONS, keys)
        assert a.runner.trouble == ""
        assert await is_served(b, a)


async def test_connections__one_peer_holds_more_than_four__its_oldest_end() -> None:
    keys = create_new_key_pair(os.urandom(32))
    async with network() as a, network() as b:
        a.serve("echo", echo)
        async with holding(a.addresses[0], 20, keys, "127.0.0.8"):
            await until(lambda: places_taken(a) == MAX_INBOUND_PER_PEER, 10)
            assert await is_served(b, a)


async def test_connections__one_address_holds_all_places__another_is_served() -> None:
    async with network() as a, network() as b, network() as c:
        a.serve("echo", echo)
        async with holding(a.addresses[0], MAX_INBOUND, None, "127.0.0.8"):
            await until(lambda: places_taken(a) == MAX_INBOUND, 10)
            assert a.runner.trouble == ""
            assert await is_served(b, a)
            assert await is_served(c, a)
            assert places_taken(a) == MAX_INBOUND
        await until(lambda: places_taken(a) == 2, 10)


async def test_connections__every_place_has_another_address__the_node_says_so_until_one_ends() -> None:
    async with network() as a, network() as b:
        a.serve("echo", echo)
        port = int(a.addresses[0].split("/")[4])
        with ExitStack() as sockets:
            for number in range(MAX_INBOUND):
                sockets.enter_context(socket.create_connection(("127.0.0.1", port), 5, (f"127.0.1.{number + 1}", 0)))
            await until(lambda: "no room for new peers" in a.runner.trouble, 4)
            with pytest.raises(PeerUnreachableError):
                await b.connect(a.addresses[0])
        await until(lambda: a.runner.trouble == "", 4)
        assert await is_served(b, a)
    assert "is down" in a.runner.trouble
