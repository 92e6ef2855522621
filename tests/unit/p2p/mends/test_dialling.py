"""Dialling: what the library does with addresses and names, and what `dial` does."""

from collections.abc import Callable
from typing import Any

import dns.asyncresolver
import dns.resolver
import libp2p.network.swarm as swarm
import pytest
import trio
import trio.testing
from libp2p.transport.tcp.tcp import TCP
from multiaddr import Multiaddr

from tests.raw_libp2p import new_peer, raw_host, unmended
from viz_node.errors import PeerUnreachableError
from viz_node.p2p.mends import dialling

DEAD, ALIVE = Multiaddr("/ip4/192.0.2.1/tcp/4001"), Multiaddr("/ip4/192.0.2.2/tcp/4001")


class Connection:
    is_closed = False


def run(act: Callable[..., Any], *arguments: Any) -> Any:
    return trio.run(act, *arguments, clock=trio.testing.MockClock(autojump_threshold=0.01))


def host_that_tries(tried: list[Multiaddr], swarm_class: Any = None) -> Any:
    """A host whose sockets are the test's: only the address ALIVE answers."""
    host = raw_host()
    network = host.get_network()

    async def try_one(address: Multiaddr, _peer: Any) -> Any:
        tried.append(address)
        if address != ALIVE:
            raise swarm.SwarmException("nobody answers")
        return Connection()

    network._dial_with_retry = try_one
    if swarm_class is not None:
        network.dial_peer = swarm_class.dial_peer.__get__(network)
    return host


def test_upstream__dial_that_has_got_through__waits_for_the_timer_of_the_next_address() -> None:
    async def main() -> float:
        host, peer = host_that_tries([], unmended(swarm).Swarm), new_peer()
        host.get_peerstore().add_addrs(peer, [ALIVE], 60)
        started = trio.current_time()
        await host.get_network().dial_peer(peer)
        return float(trio.current_time() - started)

    assert run(main) >= 0.2


def test_upstream__first_of_two_addresses_is_dead__tries_no_other_and_blocks_the_peer() -> None:
    async def main() -> list[Multiaddr]:
        tried: list[Multiaddr] = []
        host, peer = host_that_tries(tried), new_peer()
        host.get_peerstore().add_addrs(peer, [DEAD, ALIVE], 60)
        for _ in range(2):
            with pytest.raises(swarm.SwarmException):
                await host.get_network().dial_peer(peer)
        return tried

    assert run(main) == [DEAD]


def test_upstream__name_in_an_address__is_asked_of_name_servers_and_not_of_the_machine(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []

    async def ask(_: Any, name: Any, *_arguments: Any, **_options: Any) -> None:
        asked.append(str(name))
        raise dns.resolver.NXDOMAIN

    async def never(*_: Any) -> None:
        raise AssertionError("the machine's resolver was asked")

    monkeypatch.setattr(dns.asyncresolver.Resolver, "resolve", ask)
    monkeypatch.setattr(trio.socket, "getaddrinfo", never)

    async def main() -> None:
        await TCP().dial(Multiaddr("/dns4/localhost/tcp/4001"))

    with pytest.raises(Exception, match="resolve"):
        run(main)
    assert set(asked) == {"localhost"}


def test_dial__first_of_two_addresses_is_dead__gets_through_and_at_once_and_as_often_as_asked() -> None:
    async def main() -> None:
        tried: list[Multiaddr] = []
        host, peer = host_that_tries(tried), new_peer()
        dialling.install()
        started = trio.current_time()
        await dialling.dial(host, peer, [DEAD, ALIVE])
        with pytest.raises(PeerUnreachableError, match=str(DEAD)):
            await dialling.dial(host, peer, [DEAD])
        await dialling.dial(host, peer, [DEAD, ALIVE])
        assert tried == [DEAD, ALIVE, DEAD, DEAD, ALIVE]
        assert trio.current_time() == started

    run(main)


def test_dial__name_in_an_address__is_asked_of_the_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    async def answer(name: str, port: int, *_: Any) -> list[Any]:
        assert name == "node.example.org"
        return [(trio.socket.AF_INET, 0, 0, "", ("192.0.2.2", port))]

    monkeypatch.setattr(trio.socket, "getaddrinfo", answer)

    async def main() -> None:
        tried: list[Multiaddr] = []
        await dialling.dial(host_that_tries(tried), new_peer(), [Multiaddr("/dns4/node.example.org/tcp/4001")])
        assert tried == [ALIVE]

    run(main)
