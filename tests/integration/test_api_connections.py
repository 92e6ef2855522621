"""A real listener on loopback under connections that say nothing: whoever has the token still gets in, at once."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from tests.api_node import TOKEN, hostile_operations
from tests.waiting import until
from viz_node.api import Sessions, make_app
from viz_node.api.server import MOST_CONNECTIONS, serve
from viz_node.daemon.processes import raise_descriptor_limit

IDLE = 2000
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@dataclass
class Listener:
    """Where it listens, and what this test holds open there."""

    port: int
    held: list[Streams] = field(default_factory=list)

    async def open(self, first_bytes: bytes = b"GET / HTTP/1.1\r\nHost:") -> Streams:
        streams = await asyncio.open_connection("127.0.0.1", self.port)
        self.held.append(streams)
        streams[1].write(first_bytes)
        return streams

    async def ask(self, streams: Streams, path: str = "/", token: str = TOKEN) -> int:
        host = f"Host: 127.0.0.1:{self.port}\r\nAuthorization: Bearer {token}\r\n\r\n"
        streams[1].write(f"GET {path} HTTP/1.1\r\n{host}".encode())
        head = await streams[0].readuntil(b"\r\n\r\n")
        length = next(int(line[15:]) for line in head.decode().splitlines() if line.startswith("Content-Length:"))
        await streams[0].readexactly(length)
        return int(head.split()[1])

    def still_open(self) -> int:
        return sum(not reader.at_eof() and reader.exception() is None for reader, _ in self.held)


@asynccontextmanager
async def listening(idle_seconds: float = 15) -> AsyncIterator[Listener]:
    hosts: set[str] = set()
    app = make_app(hostile_operations(), Sessions(TOKEN), hosts, list)
    async with serve(app, 0, idle_seconds) as port:
        hosts.add(f"127.0.0.1:{port}")
        listener = Listener(port)
        try:
            yield listener
        finally:
            for _, writer in listener.held:
                writer.close()


@pytest.mark.asyncio
async def test_connections__two_thousand_without_headers__the_owner_is_served_within_a_second() -> None:
    raise_descriptor_limit()
    async with listening() as listener:
        known = await listener.open(b"")
        assert await listener.ask(known) == 200
        for _ in range(IDLE // 100):
            await asyncio.gather(*(listener.open() for _ in range(100)))
        begun = time.monotonic()
        assert await listener.ask(await listener.open(b"")) == 200
        assert time.monotonic() - begun < 1
        await until(lambda: listener.still_open() <= MOST_CONNECTIONS, 10, "connections above the most are ended")
        assert await listener.ask(known) == 200, "an old connection that has shown the token is kept"


@pytest.mark.asyncio
async def test_connections__headers_that_drip_or_never_come__end_in_time() -> None:
    async with listening(idle_seconds=0.3) as listener:
        silent, dripping = await listener.open(b""), await listener.open()
        used = await listener.open(b"")
        assert await listener.ask(used, "/healthz", "wrong") == 200
        begun = time.monotonic()

        async def drip() -> None:
            while time.monotonic() - begun < 5:
                dripping[1].write(b"x")
                await asyncio.sleep(0.05)

        task = asyncio.create_task(drip())
        for reader, _ in (silent, dripping, used):
            with pytest.raises((asyncio.IncompleteReadError, ConnectionError)):
                await asyncio.wait_for(reader.readexactly(1), 5)
        assert time.monotonic() - begun < 4
        task.cancel()
