"""Real peer networks on loopback."""

import asyncio
import hashlib
import os
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import trio
import trio.testing
from aiohttp import web
from libp2p.pubsub.pb import rpc_pb2
from libp2p.utils.varint import encode_varint_prefixed

from tests.waiting import until
from viz_node.domain.ids import PeerId
from viz_node.errors import (
    DeadlineError,
    LicenseRequiredError,
    NotFoundError,
    PeerUnreachableError,
    RefusedError,
    StorageError,
    VerificationError,
)
from viz_node.p2p.core import Whereabouts
from viz_node.p2p.gossip import TOPIC
from viz_node.p2p.network import PeerNetwork
from viz_node.p2p.streams import STREAM_FAILURES, abandon

LOOPBACK = "/ip4/127.0.0.1/tcp/0"


def check(raw: bytes) -> tuple[str, str, int]:
    """Announcements of these tests: 32 bytes of id, 4 of sequence, 1 of author, 4 of SHA-256 over all."""
    if len(raw) != 41 or hashlib.sha256(raw[:37]).digest()[:4] != raw[37:]:
        raise VerificationError("not an announcement")
    return raw[:32].hex(), raw[36:37].hex(), struct.unpack(">I", raw[32:36])[0]


def announcement(name: str, sequence: int, author: bytes = b"a") -> tuple[str, bytes]:
    body = hashlib.sha256(name.encode()).digest() + struct.pack(">I", sequence) + author
    return body[:32].hex(), body + hashlib.sha256(body).digest()[:4]


async def echo(_: PeerId, payload: bytes) -> bytes:
    return payload


def connection_of(core: Any) -> Any:
    return core.links.host.get_network().get_connections()[0]


@asynccontextmanager
async def network(bootstrap: list[str] | None = None, known: list[bytes] | None = None) -> AsyncIterator[PeerNetwork]:
    peer = PeerNetwork(os.urandom(32), Whereabouts(LOOPBACK, tuple(bootstrap or [])), check, lambda: list(known or []))
    await peer.runner.start()
    try:
        yield peer
    finally:
        await peer.runner.stop()


async def is_meshed(peers: int, *networks: PeerNetwork) -> bool:
    """Whether each of them would hand a gossip message on to so many peers."""

    async def count(core: Any) -> int:
        return len(core.discovery._gossip._router.mesh.get(TOPIC, ()))

    counts = [await thread.call(count, core) for thread, core in (network.runner.running() for network in networks)]
    return all(number >= peers for number in counts)


async def test_announce__three_nodes__seen_by_gossip_and_found_in_the_dht() -> None:
    async with network() as a, network(a.addresses) as b, network(a.addresses) as c:
        heard: dict[str, list[bytes]] = {"b": [], "c": []}
        b.on_announcement(heard["b"].append)
        c.on_announcement(heard["c"].append)
        await until(lambda: is_meshed(2, a), 20)
        await until(lambda: is_meshed(1, b, c), 20)
        adapter_id, raw = announcement("one", 1)
        await b.announce(adapter_id, raw)
        await until(lambda: heard["c"] == [raw], 20)
        assert heard["b"] == []

        async def has_value() -> bool:
            return await c.find_announcement(adapter_id) == raw

        async def has_provider() -> bool:
            return await c.find_providers(adapter_id) == [b.peer_id]

        await until(has_value, 30)
        await until(has_provider, 30)


async def test_announce__stranger_with_the_highest_number__keeps_nobody_from_being_heard() -> None:
    async with network() as a, network(a.addresses) as b, network(a.addresses) as c:
        heard: list[bytes] = []
        c.on_announcement(heard.append)
        await until(lambda: is_meshed(2, a), 20)
        await until(lambda: is_meshed(1, b, c), 20)
        adapter_id, first = announcement("one", 1)
        _, claim = announcement("one", 2**32 - 1, b"b")
        _, again = announcement("one", 2)
        for author, raw in ((a, first), (b, claim), (a, again)):
            await author.announce(adapter_id, raw)
            await until(lambda raw=raw: raw in heard, 20)
        assert heard == [first, claim, again]


async def test_catalog__late_joiner__gets_what_the_other_knows() -> None:
    known = [announcement(f"item {number}", 1)[1] for number in range(450)]
    async with network(known=known) as a, network() as b:
        heard: list[bytes] = []
        b.on_announcement(heard.append)
        assert await b.connect(a.addresses[0]) == a.peer_id
        await until(lambda: len(heard) == len(known), 20)
        assert await b.catch_up() == 0
        assert sorted(heard) == sorted(known)


async def test_request__handler_answers_or_fails__reply_or_the_same_error() -> None:
    async def echo(peer_id: PeerId, payload: bytes) -> bytes:
        return peer_id.encode() + payload

    async def sell(_: PeerId, __: bytes) -> bytes:
        raise LicenseRequiredError("no license", "buy one")

    async def stop_the_other(_: PeerId, __: bytes) -> bytes:
        raise StorageError("the disk is full")

    async def broken(_: PeerId, __: bytes) -> bytes:
        raise ZeroDivisionError

    async with network() as a, network() as b:
        for method, handler in (("echo", echo), ("sell", sell), ("stop", stop_the_other), ("broken", broken)):
            a.serve(method, handler)
        payload = os.urandom(900_000)
        reply = await b.request(a.peer_id, "echo", payload, addresses=tuple(a.addresses))
        assert reply == b.peer_id.encode() + payload
        with pytest.raises(LicenseRequiredError) as raised:
            await b.request(a.peer_id, "sell", b"")
        assert (raised.value.message, raised.value.hint) == ("no license", "buy one")
        with pytest.raises(PeerUnreachableError):
            await b.request(a.peer_id, "stop", b"")
        with pytest.raises(PeerUnreachableError):
            await b.request(a.peer_id, "broken", b"")
        with pytest.raises(NotFoundError):
            await b.request(a.peer_id, "nothing", b"")
        replies = await asyncio.gather(*(b.request(a.peer_id, "echo", bytes([n])) for n in range(8)))
        assert [reply[-1] for reply in replies] == list(range(8))


async def test_request__first_address_is_dead__second_is_used() -> None:
    async with network() as a, network() as b:
        a.serve("echo", echo)
        addresses = (f"/ip4/127.0.0.1/tcp/9/p2p/{a.peer_id}", *a.addresses)
        assert await b.request(a.peer_id, "echo", b"x", addresses=addresses) == b"x"


async def test_fetch__two_seeders__same_bytes(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.write_bytes(os.urandom(20_000_001))
    async with network() as a, network() as b, network() as c:
        blob_id = await a.share(source)
        assert await b.share(source) == blob_id
        seen: list[tuple[int, int]] = []
        await c.connect(a.addresses[0])
        await c.connect(b.addresses[0])
        banned = await c.fetch(
            blob_id,
            20_000_001,
            [a.peer_id, b.peer_id],
            tmp_path / "got",
            lambda done, total: seen.append((done, total)),
        )
        assert banned == []
        assert (tmp_path / "got").read_bytes() == source.read_bytes()
        await until(lambda: seen[-1] == (20_000_001, 20_000_001), 20)
        assert not list(tmp_path.glob("got.*"))


async def test_fetch__one_seeder_corrupts__banned_and_the_file_is_whole(tmp_path: Path) -> None:
    source, spoiled = tmp_path / "source", tmp_path / "spoiled"
    source.write_bytes(os.urandom(20_000_000))
    spoiled.write_bytes(source.read_bytes())
    async with network() as a, network() as b, network() as c:
        blob_id = await a.share(source)
        await b.share(spoiled)
        spoiled.write_bytes(bytes(20_000_000))
        await c.connect(a.addresses[0])
        await c.connect(b.addresses[0])
        banned = await c.fetch(blob_id, 20_000_000, [b.peer_id, a.peer_id], tmp_path / "got")
        assert banned == [b.peer_id]
        assert (tmp_path / "got").read_bytes() == source.read_bytes()
        with pytest.raises(VerificationError):
            await c.fetch(blob_id, 20_000_000, [b.peer_id], tmp_path / "again")


async def test_fetch__cancelled__resumes_from_the_verified_chunks(tmp_path: Path) -> None:
    source, got = tmp_path / "source", tmp_path / "got"
    source.write_bytes(os.urandom(40_000_000))
    async with network() as a, network() as b:
        blob_id = await a.share(source)
        await b.connect(a.addresses[0])
        some = asyncio.Event()
        first = asyncio.create_task(
            b.fetch(blob_id, 40_000_000, [a.peer_id], got, lambda done, _: some.set() if done > 5_000_000 else None)
        )
        await some.wait()
        first.cancel()
        with pytest.raises(asyncio.CancelledError):
            await first
        assert not got.exists()
        resumed: list[int] = []
        await b.fetch(blob_id, 40_000_000, [a.peer_id], got, lambda done, _: resumed.append(done))
        assert resumed[0] > 5_000_000
        assert got.read_bytes() == source.read_bytes()


async def test_request__cancelled_at_any_moment__leaves_the_connection_whole_and_no_stream_behind() -> None:
    async def cancel_many(core: Any, peer: str) -> bool:
        connection = connection_of(core)

        def open_streams() -> tuple[int, int]:
            muxed = connection.muxed_conn
            return muxed.stream_backlog_limit - muxed.stream_backlog_semaphore.value, len(muxed.streams)

        before = open_streams()
        for number in range(300):
            with trio.move_on_after(number * 2e-5), suppress(DeadlineError):
                await core.request(peer, "echo", bytes(300_000), 20, ())
        assert not connection.is_closed
        with trio.fail_after(10):  # discovery has streams of its own at times; without a remedy dozens stay
            while any(now > then + 4 for now, then in zip(open_streams(), before, strict=True)):
                await trio.sleep(0.05)
        return connection in core.links.host.get_network().get_connections()

    async with network() as a, network() as b:
        a.serve("echo", echo)
        await b.connect(a.addresses[0])
        await until(lambda: is_meshed(1, a, b), 20)
        thread, core = b.runner.running()
        assert await thread.call(cancel_many, core, a.peer_id)
        assert await b.request(a.peer_id, "echo", b"alive") == b"alive"


async def test_reset__reader_and_writer_wait__are_woken() -> None:
    async def reset(core: Any) -> None:
        stream = await connection_of(core).new_stream()
        assert b"/multistream/" in await stream.read()  # the peer's greeting; nothing comes after it
        stream.muxed_stream.send_window = 0
        await wake(stream)
        assert stream.muxed_stream.stream_id not in connection_of(core).muxed_conn.streams

    async with network() as a, network() as b:
        await b.connect(a.addresses[0])
        await until(lambda: is_meshed(1, a, b), 20)
        thread, core = b.runner.running()
        await thread.call(reset, core)


async def wake(stream: Any) -> None:
    """A reader and a writer wait for the stream; its reset fails both."""

    async def fails(act: Callable[[], Awaitable[object]]) -> None:
        try:
            came = await act()
        except STREAM_FAILURES:
            return
        raise AssertionError(f"{act} ended with {came!r}")  # what pytest.raises raises would end the trio thread

    with trio.fail_after(10):
        async with trio.open_nursery() as nursery:
            for wait in (stream.read, partial(stream.write, b"x")):
                nursery.start_soon(fails, wait)
            await trio.testing.wait_all_tasks_blocked()
            await abandon(stream)


async def test_reset__peer_that_reads_nothing__gives_its_place_back_and_wakes_reader_and_writer() -> None:
    async def read_nothing(core: Any) -> None:
        connection_of(core).muxed_conn.secured_conn.read = lambda _: trio.sleep_forever()

    async def reset(core: Any) -> None:
        connection = connection_of(core)
        stream, waiting = await connection.new_stream(), await connection.new_stream()
        stream.muxed_stream.send_window = 1 << 30  # more than the kernel holds for one who does not read
        waiting.muxed_stream.send_window = 0
        with trio.move_on_after(1):
            await stream.write(bytes(64 << 20))
        await wake(waiting)
        await abandon(stream)
        for ended in (stream, waiting):
            assert ended not in connection.get_streams()
            assert ended.muxed_stream.stream_id not in connection.muxed_conn.streams
            assert ended.muxed_stream._backlog_slot_released

    async with network() as a, network() as b:
        await b.connect(a.addresses[0])
        await until(lambda: is_meshed(1, a, b), 20)
        for side, act in ((a, read_nothing), (b, reset)):
            thread, core = side.runner.running()
            await thread.call(act, core)


async def test_request__connection_has_just_ended__dials_again() -> None:
    async def break_off(core: Any) -> None:
        for connection in core.links.host.get_network().get_connections():
            await connection.muxed_conn.secured_conn.close()

    async with network() as a, network() as b:
        a.serve("echo", echo)
        await b.connect(a.addresses[0])
        for side in (a, b):
            for _ in range(3):
                thread, core = side.runner.running()
                await thread.call(break_off, core)
                assert await b.request(a.peer_id, "echo", b"alive") == b"alive"


async def test_fetch__blob_nobody_has__peer_unreachable(tmp_path: Path) -> None:
    async with network() as a, network() as b:
        await b.connect(a.addresses[0])
        with pytest.raises(PeerUnreachableError):
            await b.fetch("ab" * 32, 5, [a.peer_id], tmp_path / "got")


async def test_gossip__malformed_message__does_not_end_the_node() -> None:
    async def send_garbage(core: object) -> None:
        host = core.links.host  # type: ignore[attr-defined]
        peer = host.get_connected_peers()[0]
        for protocol in (
            "/meshsub/1.1.0",
            "/meshsub/1.2.0",
            "/viz/request/1.0.0",
            "/viz/blob/1.0.0",
            "/ipfs/kad/1.0.0",
        ):
            for garbage in (b"\xff" * 64, b"\x05hello", b"\x0a\x12\x03abc\xff" + bytes(9), os.urandom(2000)):
                stream = await host.new_stream(peer, [protocol])
                with trio.move_on_after(1):
                    await stream.write(garbage)
                    await stream.close()

    async with network() as a, network() as b:
        a.serve("echo", echo)
        await b.connect(a.addresses[0])
        thread, core = b.runner.running()
        await thread.call(send_garbage, core)
        assert await b.request(a.peer_id, "echo", b"alive") == b"alive"
        heard: list[bytes] = []
        async with network(a.addresses) as c:
            a.on_announcement(heard.append)
            await until(lambda: is_meshed(1, c), 20)
            adapter_id, raw = announcement("after", 1)
            await c.announce(adapter_id, raw)
            await until(lambda: heard == [raw], 20)
        assert not a.runner.failed.is_set()


async def test_safe_pubsub__message_that_ends_the_library__is_dropped_and_gossip_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    hashed_id = b"\x12\x20" + bytes(32)  # tells no key, so that the key in the message is read
    message = rpc_pb2.Message(from_id=hashed_id, data=b"x", seqno=b"1", topicIDs=[TOPIC], signature=b"s", key=b"\xff")
    malformed = {
        "dropped a malformed gossip message": rpc_pb2.RPC(publish=[message]).SerializeToString(),
        "closed a malformed gossip stream": b"\xff" * 64,
    }

    async def send(core: Any, raw: bytes) -> None:
        host = core.links.host
        stream = await host.new_stream(host.get_connected_peers()[0], ["/meshsub/1.2.0"])
        await stream.write(encode_varint_prefixed(raw))

    async with network() as a, network() as b:
        await b.connect(a.addresses[0])
        thread, core = b.runner.running()
        for trace, raw in malformed.items():
            await thread.call(send, core, raw)
            await until(lambda trace=trace: trace in caplog.text, 10, trace)
        heard: list[bytes] = []
        a.on_announcement(heard.append)
        async with network(a.addresses) as c:
            await until(lambda: is_meshed(1, c), 20)
            adapter_id, raw = announcement("after", 1)
            await c.announce(adapter_id, raw)
            await until(lambda: heard == [raw], 20)
        assert not a.runner.failed.is_set()


async def test_tunnel__http_exchange__carried_both_ways() -> None:
    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    app = web.Application(client_max_size=8 << 20)
    app.router.add_post("/echo", echo)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    server_port = runner.addresses[0][1]
    try:
        async with network() as a, network() as b, network() as c:
            a.tunnels.serve_tunnel("fleet", server_port, lambda peer: peer == b.peer_id)
            await b.connect(a.addresses[0])
            await c.connect(a.addresses[0])
            port = await b.tunnels.open_tunnel(a.peer_id, "fleet")
            body = os.urandom(3_000_000)
            async with aiohttp.ClientSession() as session:
                for _ in range(3):
                    async with session.post(f"http://127.0.0.1:{port}/echo", data=body) as response:
                        assert await response.read() == body
            with pytest.raises(RefusedError):
                await c.tunnels.open_tunnel(a.peer_id, "fleet")
            await b.tunnels.close_tunnel("fleet")

            async def is_closed() -> bool:
                try:
                    _, writer = await asyncio.open_connection("127.0.0.1", port)
                except OSError:
                    return True
                writer.close()
                return False

            await until(is_closed, 5)
    finally:
        await runner.cleanup()


async def test_core__dies__failed_is_set_and_it_starts_again_with_its_offerings() -> None:
    async with network() as a, network() as b:
        a.serve("echo", echo)
        thread, _ = a.runner.running()

        async def die() -> None:
            thread._nursery.start_soon(explode)  # type: ignore[union-attr]

        async def explode() -> None:
            raise RuntimeError("the core broke")

        await thread.call(die)
        await asyncio.wait_for(a.runner.failed.wait(), 5)
        with pytest.raises(PeerUnreachableError):
            await a.connect(b.addresses[0])
        await a.runner.start()
        assert not a.runner.failed.is_set()
        assert await b.request(a.peer_id, "echo", b"again", addresses=tuple(a.addresses)) == b"again"


async def test_stop__running_network__within_two_seconds() -> None:
    async with network() as a, network(a.addresses) as b:
        await until(lambda: is_meshed(1, a, b), 20)
        started = asyncio.get_running_loop().time()
        await b.runner.stop()
        assert asyncio.get_running_loop().time() - started < 2
