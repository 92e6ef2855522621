"""What a host tells peers of where it is when it has nothing to tell."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio
from libp2p.identity.identify.identify import _mk_identify_protobuf
from multiaddr import Multiaddr

from tests.raw_libp2p import raw_host
from viz_node.p2p.mends import addresses

LOOPBACK = Multiaddr("/ip4/127.0.0.1/tcp/0")


@asynccontextmanager
async def silent_host() -> AsyncIterator[Any]:
    host = raw_host(listen_addrs=[LOOPBACK], addrs_factory=lambda _: [])
    async with host.run(listen_addrs=[LOOPBACK]):
        yield host


def told(host: Any) -> list[str]:
    return [str(Multiaddr(raw)) for raw in _mk_identify_protobuf(host, None).listen_addrs]


def test_upstream__nothing_to_announce__tells_what_is_bound() -> None:
    async def main() -> list[str]:
        async with silent_host() as host:
            return told(host)

    assert [address.rpartition("/")[0] for address in trio.run(main)] == ["/ip4/127.0.0.1/tcp"]


def test_install__nothing_to_announce__tells_nothing_and_still_knows_what_is_bound() -> None:
    async def main() -> None:
        async with silent_host() as host:
            bound = addresses.install(host)
            assert told(host) == []
            assert [str(address).rpartition("/")[0] for address in bound()] == ["/ip4/127.0.0.1/tcp"]

    trio.run(main)
