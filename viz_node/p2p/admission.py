"""Places for inbound connections: given back when a connection ends, and shared between addresses and peers.

The library keeps an inbound place, and a task, until the host stops, so that a node accepts no peer after its first 124
connections. Here a place ends with its connection. While there is room, one address may hold any number: a household, a
company or a machine with many nodes is one address. Once all places are taken, the address that holds most of them
gives one to a newcomer: one whose peer has no stream open, or else, to an address that holds fewer, its newest. So no
single address fills the host, and an idle connection makes room. A peer holds four; a fifth connection ends its
oldest, because a node that came back finds its own dead connections there.

Kept true by tests/unit/p2p/test_admission.py and tests/integration/test_p2p_hostile.py.
"""

import ipaddress
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from libp2p.peer.id import ID

MAX_INBOUND: Final = 124
MAX_INBOUND_PER_PEER: Final = 4
_IP6_SITE_BITS: Final = 64


@dataclass(eq=False)
class Place:
    """One inbound connection, from its first byte to its end."""

    source: str
    end: Callable[[], None]
    peer: ID | None = None
    is_idle: Callable[[], bool] = lambda: False

    def belongs_to(self, peer: ID, is_idle: Callable[[], bool]) -> None:
        """The connection has shown whose it is."""
        self.peer, self.is_idle = peer, is_idle


class Places:
    """Who holds which place, the oldest first; no I/O."""

    def __init__(self, in_all: int = MAX_INBOUND, per_peer: int = MAX_INBOUND_PER_PEER) -> None:
        self.in_all = in_all
        self._per_peer = per_peer
        self._held: dict[Place, None] = {}

    @property
    def taken(self) -> int:
        """How many are held."""
        return len(self._held)

    @property
    def is_open(self) -> bool:
        """Whether a peer from a new address would get one."""
        return self.taken < self.in_all or self._most_held()[1] > 1

    def take(self, source: str, end: Callable[[], None]) -> Place | None:
        """A place for a connection from there, or None; `end` ends the connection, at once."""
        if self.taken >= self.in_all:
            victim = self._victim_for(source)
            if victim is None:
                return None
            self._end(victim)
        place = Place(source, end)
        self._held[place] = None
        return place

    def _victim_for(self, source: str) -> Place | None:
        largest, most = self._most_held()
        group = [place for place in self._held if place.source == largest]
        idle = next((place for place in group if place.is_idle()), None)
        if idle is not None:
            return idle
        return group[-1] if most > sum(place.source == source for place in self._held) + 1 else None

    def name(self, place: Place, peer: ID, is_idle: Callable[[], bool]) -> None:
        """The connection has shown whose it is."""
        place.belongs_to(peer, is_idle)
        own = [each for each in self._held if each.peer == peer]
        for each in own[: -self._per_peer]:
            self._end(each)

    def give_back(self, place: Place) -> None:
        """The connection has ended."""
        self._held.pop(place, None)

    def _end(self, place: Place) -> None:
        self.give_back(place)
        place.end()

    def _most_held(self) -> tuple[str, int]:
        # A copy, because a node's health is asked for in another thread.
        return Counter(place.source for place in list(self._held)).most_common(1)[0]


def source_of(address: str) -> str:
    """The unit that counts as one address: an IPv4 address, or an IPv6 site of 64 bits."""
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(ip, ipaddress.IPv4Address):
        return str(ip)
    if ip.ipv4_mapped is not None:
        return str(ip.ipv4_mapped)
    return str(ipaddress.ip_network((ip, _IP6_SITE_BITS), strict=False))
