"""What real nodes tell their peers of where they are, by every way on which they tell it."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from libp2p.identity.identify.identify import ID as IDENTIFY
from libp2p.identity.identify.identify import parse_identify_response
from libp2p.peer.envelope import consume_envelope
from multiaddr import Multiaddr
from multiaddr.utils import get_network_addrs

from tests.integration.test_p2p_network import check, echo
from viz_node.errors import LockedError, UsageError
from viz_node.p2p.core import Whereabouts
from viz_node.p2p.network import PeerNetwork
from viz_node.tcp import choose_port

LOOPBACK, EVERYWHERE = "/ip4/127.0.0.1/tcp/0", "/ip4/0.0.0.0/tcp/0"


@asynccontextmanager
async def node(listen: str, **options: Any) -> AsyncIterator[PeerNetwork]:
    peer = PeerNetwork(os.urandom(32), Whereabouts(listen, **options), check, list)
    await peer.runner.start()
    try:
        yield peer
    finally:
        await peer.runner.stop()


async def told(by: PeerNetwork, to: PeerNetwork) -> list[str]:
    """The addresses in what a node says of itself when a connected peer asks, unsigned and signed."""

    async def identify(core: Any) -> list[str]:
        host = core.links.host
        peer = next(peer for peer in host.get_connected_peers() if str(peer) == by.peer_id)
        stream = await host.new_stream(peer, [IDENTIFY])
        message = parse_identify_response(await stream.read(100_000))
        await stream.close()
        _, record = consume_envelope(message.signedPeerRecord, "libp2p-peer-record")
        return [*(str(Multiaddr(raw)) for raw in message.listen_addrs), *map(str, record.addrs)]

    thread, core = to.runner.running()
    return await thread.call(identify, core)


async def dials(one: PeerNetwork, other: PeerNetwork) -> None:
    """Connect to where it listens."""
    await one.connect(other.runner.local_addresses[-1])


@pytest.mark.parametrize("is_public", [True, False])
async def test_announced__listens_everywhere__tells_its_interfaces_and_never_the_unspecified(is_public: bool) -> None:
    async with node(EVERYWHERE, is_public=is_public) as a, node(LOOPBACK) as b:
        await dials(b, a)
        port = a.runner.local_addresses[0].split("/")[4]
        expected = [f"/ip4/{ip}/tcp/{port}/p2p/{a.peer_id}" for ip in get_network_addrs(4)]
        assert set(expected) <= set(a.announced)
        assert a.addresses == a.announced
        assert sorted(await told(a, b)) == sorted([*a.announced, *(text.partition("/p2p/")[0] for text in a.announced)])
        assert not [text for text in a.announced if "0.0.0.0" in text]
        assert is_public != any("127.0.0.1" in text for text in a.announced)


async def test_announced__public_node_on_loopback__tells_nothing_and_serves_its_own_machine() -> None:
    async with node(LOOPBACK, is_public=True) as a, node(LOOPBACK) as b:
        a.serve("echo", echo)
        assert (a.announced, len(a.addresses)) == ([], 1)
        await b.connect(a.addresses[0])
        assert await b.request(a.peer_id, "echo", b"x") == b"x"
        assert await told(a, b) == []


async def test_announced__option_is_given__tells_that_alone() -> None:
    given = ["/ip4/203.0.113.7/tcp/4001", "/dns4/node.example.org/tcp/4001"]
    async with node(LOOPBACK, announce=given, is_public=True) as a, node(LOOPBACK) as b:
        assert a.announced == [f"{text}/p2p/{a.peer_id}" for text in given]
        await dials(b, a)
        assert sorted(await told(a, b)) == sorted([*given, *a.announced])


async def test_connect__by_a_name__is_resolved_as_this_machine_does_it() -> None:
    port = choose_port()
    async with node(f"/ip4/127.0.0.1/tcp/{port}", announce=[f"/dns4/localhost/tcp/{port}"]) as a, node(LOOPBACK) as b:
        assert await b.connect(a.announced[0]) == a.peer_id


async def test_listen__on_ipv6__is_reached_there() -> None:
    async with node("/ip6/::1/tcp/0") as a, node(LOOPBACK) as b:
        assert a.addresses[0].startswith("/ip6/::1/tcp/")
        assert await b.connect(a.addresses[0]) == a.peer_id


@pytest.mark.parametrize(
    ("listen", "options"),
    [
        ("/dns4/localhost/tcp/0", {}),
        ("/ip4/0.0.0.0/udp/4001/quic-v1", {}),
        ("/ip4/0.0.0.0/tcp/4001/ws", {}),
        (LOOPBACK, {"announce": ["/ip4/0.0.0.0/tcp/4001"]}),
        (LOOPBACK, {"announce": ["/ip4/127.0.0.1/tcp/4001"], "is_public": True}),
        (LOOPBACK, {"bootstrap": ("/ip4/203.0.113.7/tcp/4001",)}),
        (LOOPBACK, {"bootstrap": ("/ip4/203.0.113.7/tcp/4001/p2p/nobody",)}),
    ],
)
async def test_start__address_of_no_use__is_refused(listen: str, options: dict[str, Any]) -> None:
    with pytest.raises(UsageError):
        Whereabouts(listen, **options)


async def test_start__address_of_another_machine__is_refused() -> None:
    network = PeerNetwork(os.urandom(32), Whereabouts("/ip4/192.0.2.77/tcp/4001"), check, list)
    with pytest.raises(LockedError):
        await network.runner.start()
