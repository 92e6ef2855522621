"""What is remembered of a peer's addresses."""

from typing import Any

from libp2p.peer.id import ID
from multiaddr import Multiaddr

from viz_node.p2p.links import Links

PEER = "12D3KooWDpJ7As7BWAwRMfu1VU2WCqNjvq387JEYKDBj4kx6nXTN"


def links_of_nobody() -> Links:
    unused: Any = None
    return Links(unused, unused)


def test_remember__addresses_with_and_without_the_id_and_of_nobody__each_once_and_plain() -> None:
    links, peer = links_of_nobody(), ID.from_string(PEER)
    told = ["/ip4/0.0.0.0/tcp/4001", "/ip4/192.0.2.7/tcp/4001", f"/ip4/192.0.2.7/tcp/4001/p2p/{PEER}", "/ip6/::/tcp/1"]
    links.remember(peer, map(Multiaddr, told))
    links.remember(peer, [Multiaddr(f"/dns4/node.example.org/tcp/4001/p2p/{PEER}")])
    assert [str(address) for address in links.addresses_of(peer)] == [
        "/dns4/node.example.org/tcp/4001",
        "/ip4/192.0.2.7/tcp/4001",
    ]


def test_remember__many_addresses__the_newest_eight() -> None:
    links, peer = links_of_nobody(), ID.from_string(PEER)
    for port in range(1, 20):
        links.remember(peer, [Multiaddr(f"/ip4/192.0.2.7/tcp/{port}")])
    assert [str(address).rpartition("/")[2] for address in links.addresses_of(peer)] == [
        str(n) for n in range(19, 11, -1)
    ]
