"""The place of an inbound connection, from its first byte to its end."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import trio
import trio.testing
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as Noise
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.transport.upgrader import TransportUpgrader
from multiaddr import Multiaddr

from tests.raw_libp2p import Connection, new_keys, raw_host
from viz_node.p2p.mends import inbound

LISTENS = Multiaddr("/ip4/192.0.2.9/tcp/4001")


class Socket(Connection):
    """A socket in memory."""

    def __init__(self, end: Any) -> None:
        super().__init__(end)
        self.stream = SimpleNamespace(socket=SimpleNamespace(close=lambda: None))

    async def read(self, size: int | None = None) -> bytes:
        return await self._stream.receive_some(size)  # type: ignore[no-any-return]


@asynccontextmanager
async def comes_and_goes(host: Any) -> AsyncIterator[None]:
    """A peer connects to a running host and leaves again."""
    async with host.run(listen_addrs=[]), trio.open_nursery() as nursery:
        ours, theirs = trio.testing.memory_stream_pair()
        nursery.start_soon(host.get_network()._handle_inbound_connection, Socket(ours), LISTENS)
        security = {NOISE: Noise(new_keys(), noise_privkey=create_noise_key_pair().private_key)}
        upgrader = TransportUpgrader(security, {YAMUX: Yamux})  # type: ignore[dict-item]
        raw = RawConnection(Socket(theirs), True)  # type: ignore[arg-type]
        with trio.fail_after(30):
            secured = await upgrader.upgrade_security(raw, True, host.get_id())
            await upgrader.upgrade_connection(secured, host.get_id())
            await until(lambda: bool(host.get_network().get_connections()))
            await raw.close()
            await until(lambda: not host.get_network().get_connections())
        await trio.testing.wait_all_tasks_blocked(0.05)
        yield
        nursery.cancel_scope.cancel()


async def until(is_so: Callable[[], bool]) -> None:
    while not is_so():
        await trio.sleep(0.01)


def test_upstream__connection_has_ended__keeps_its_place() -> None:
    async def main() -> None:
        host = raw_host()
        async with comes_and_goes(host):
            assert host.get_network()._inbound_limiter.borrowed_tokens == 1

    trio.run(main)


def test_install__connection_has_ended__its_place_is_free() -> None:
    async def main() -> None:
        host = raw_host()
        places = inbound.install(host)
        async with comes_and_goes(host):
            assert places.taken == 0

    trio.run(main)
