"""Noise sessions: what reaches the socket, and what a cancelled write leaves."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import pytest
import trio
import trio.testing
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.io.exceptions import ConnectionClosedError
from libp2p.peer.id import ID
from libp2p.security.noise.transport import Transport
from noise.exceptions import NoiseInvalidMessage

from tests.raw_libp2p import Connection, new_keys
from viz_node.p2p.mends.noise import FastNoise


class RawConnection(Connection):
    """A socket in memory that sends ten bytes and then no more while `is_stuck`."""

    is_stuck = False

    def __init__(self, stream: Any, is_initiator: bool) -> None:
        super().__init__(stream, is_initiator)
        self.stream = SimpleNamespace(stream=SimpleNamespace(socket=self))

    async def read(self, size: int) -> bytes:
        self.reads += 1
        return await self._stream.receive_some(size)  # type: ignore[no-any-return]

    async def write(self, data: bytes) -> None:
        while data:
            data = data[await self.send(data) :]

    async def send(self, data: bytes) -> int:
        if not self.is_stuck:
            await self._stream.send_all(data)
            return len(data)
        if len(data) < 100:
            await trio.sleep_forever()
        await self._stream.send_all(bytes(data[:10]))
        return 10


@asynccontextmanager
async def sessions(transport_class: type[Transport]) -> AsyncIterator[tuple[Any, Any, RawConnection, RawConnection]]:
    """Two ends of a session, and their sockets."""
    sockets = [RawConnection(end, bool(n)) for n, end in enumerate(trio.testing.memory_stream_pair())]
    keys, made = [new_keys(), new_keys()], {}
    ends = [transport_class(key, noise_privkey=create_noise_key_pair().private_key) for key in keys]

    async def answer() -> None:
        made["answered"] = await ends[0].secure_inbound(sockets[0])  # type: ignore[arg-type]

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(answer)
            opened = await ends[1].secure_outbound(sockets[1], ID.from_pubkey(keys[0].public_key))  # type: ignore[arg-type]
        yield opened, made["answered"], sockets[1], sockets[0]


async def reads_of(transport_class: type[Transport], messages: int) -> int:
    async with sessions(transport_class) as (sender, reader, _, socket):
        for _ in range(messages):
            await sender.write(bytes(100))
        socket.reads = 0
        for _ in range(messages):
            assert await reader.read(100) == bytes(100)
        return socket.reads


async def after_a_cancelled_write(transport_class: type[Transport]) -> bytes:
    async with sessions(transport_class) as (sender, reader, socket, _):
        socket.is_stuck = True
        with trio.move_on_after(1):
            await sender.write(b"a" * 90)
        socket.is_stuck = False
        await sender.write(b"b" * 90)
        with trio.fail_after(1):
            return await reader.read(180)  # type: ignore[no-any-return]


def run(act: Any, *arguments: Any) -> Any:
    return trio.run(act, *arguments, clock=trio.testing.MockClock(autojump_threshold=0.01))


def test_upstream__ten_small_messages__are_read_in_twenty_reads() -> None:
    assert run(reads_of, Transport, 10) == 20


def test_read__ten_small_messages__are_read_at_once() -> None:
    assert run(reads_of, FastNoise, 10) == 1


def test_upstream__write_is_cancelled_halfway__nothing_can_be_read_any_more() -> None:
    with pytest.raises(NoiseInvalidMessage):
        run(after_a_cancelled_write, Transport)


def test_write__cancelled_halfway__is_sent_before_the_next() -> None:
    assert run(after_a_cancelled_write, FastNoise) == b"a" * 90 + b"b" * 90


def test_read__socket_ends__what_came_is_given_and_then_an_error() -> None:
    async def main() -> None:
        async with sessions(FastNoise) as (sender, reader, _, _socket):
            await sender.write(b"abc")
            await sender.close()
            assert (await reader.read(0), await reader.read(), await reader.read(0)) == (b"", b"abc", b"")
            with pytest.raises(ConnectionClosedError):
                await reader.read(1)

    run(main)
