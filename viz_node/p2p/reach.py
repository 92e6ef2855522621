"""Where this node listens, and what its peers are told of that; looked at anew, because interfaces come and go."""

import time
from collections.abc import Callable, Sequence
from typing import Final

from multiaddr import Multiaddr
from multiaddr.utils import get_network_addrs

from viz_node.domain.peer_address import TcpAddress, parse_listen, reachable_addresses

_LOOK_SECONDS: Final = 10.0


class Reach:
    """One per host. What is `announced` stands for all; without it, what the machine's interfaces and the port give."""

    def __init__(self, announced: Sequence[TcpAddress] = (), is_public: bool = False) -> None:
        self._announced = list(announced)
        self._is_public = is_public
        self._bound: Callable[[], list[Multiaddr]] = list
        self._known: list[TcpAddress] = []
        self._known_until = 0.0

    def choose(self, _candidates: list[Multiaddr]) -> list[Multiaddr]:
        """What the library tells peers; its own candidates have 0.0.0.0 among them."""
        return [Multiaddr(str(address)) for address in self.addresses()]

    def listens_as(self, bound: Callable[[], list[Multiaddr]]) -> None:
        """Ask there, from now on, which addresses the host has bound."""
        self._bound = bound

    def listening(self) -> list[TcpAddress]:
        """The addresses that are bound; empty until the host listens."""
        return [parse_listen(str(address)) for address in self._bound()]

    def addresses(self) -> list[TcpAddress]:
        """What peers are told, at most eight; empty when no other machine can reach this node."""
        if self._announced:
            return list(self._announced)
        now = time.monotonic()
        if now > self._known_until or not self._known:
            self._known = reachable_addresses(self.listening(), _interfaces(), self._is_public)
            self._known_until = now + _LOOK_SECONDS
        return list(self._known)

    def local_addresses(self) -> list[TcpAddress]:
        """Where this machine reaches it, whatever is announced; empty until the host listens."""
        return reachable_addresses(self.listening(), _interfaces(), is_public=False)


def _interfaces() -> list[str]:
    return [*get_network_addrs(4), *get_network_addrs(6)]
