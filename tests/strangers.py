"""Connections of strangers, made cheaply: no host, just the handshakes, from any loopback address."""

import secrets
from typing import Any

import trio
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.io.trio import TrioTCPStream
from libp2p.network.connection.raw_connection import RawConnection
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.security.noise.transport import Transport as Noise
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from libp2p.transport.upgrader import TransportUpgrader

from viz_node.p2p.host import parse_peer_address

_AT_ONCE = 8


async def connect(address: str, keys: Any, source: str = "127.0.0.1") -> RawConnection:
    """A connection that the node takes for a peer's, with these keys or new ones."""
    info = parse_peer_address(address)
    keys = keys or create_new_key_pair(secrets.token_bytes(32))
    security = {NOISE: Noise(keys, noise_privkey=create_noise_key_pair().private_key)}
    upgrader = TransportUpgrader(security, {YAMUX: Yamux})  # type: ignore[dict-item]
    with trio.fail_after(20):
        host, port = (info.addrs[0].value_for_protocol(name) for name in ("ip4", "tcp"))
        stream = await trio.open_tcp_stream(host, int(port), local_address=source)
        raw = RawConnection(TrioTCPStream(stream), True)
        secured = await upgrader.upgrade_security(raw, True, info.peer_id)
        await upgrader.upgrade_connection(secured, info.peer_id)
    return raw


async def connect_many(address: str, number: int, keys: Any = None, source: str = "127.0.0.1") -> list[RawConnection]:
    """So many connections, a few of them made at the same time."""
    made: list[RawConnection] = []
    limit = trio.CapacityLimiter(_AT_ONCE)

    async def make() -> None:
        async with limit:
            made.append(await connect(address, keys, source))

    async with trio.open_nursery() as nursery:
        for _ in range(number):
            nursery.start_soon(make)
    return made


async def come_and_go(address: str, number: int, keys: Any = None) -> None:
    """So many connections that each end as soon as they are made."""
    for start in range(0, number, _AT_ONCE):
        for raw in await connect_many(address, min(_AT_ONCE, number - start), keys):
            await raw.close()
