"""Dialling every address that a peer has, by the names of this machine's resolver.

The library tries one address of each transport, waits 250 ms even after it has got through, then refuses to dial the
peer for a minute when that address failed, and sends the names in addresses to name servers of its own choice. Kept
true by tests/unit/p2p/mends/test_dialling.py.
"""

import logging
import re
from collections.abc import Iterable
from typing import Any, Final

import libp2p.network.swarm
import trio
from libp2p.abc import IHost
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo
from multiaddr import Multiaddr

from viz_node.errors import PeerUnreachableError

_log = logging.getLogger(__name__)
DIAL_SECONDS: Final = 10.0
_NAMED: Final = re.compile(r"/(dns|dns4|dns6)/([^/]+)/tcp/(\d+)")
_FAMILIES: Final = {"dns": trio.socket.AF_UNSPEC, "dns4": trio.socket.AF_INET, "dns6": trio.socket.AF_INET6}
_MAX_RESOLVED: Final = 4


def install() -> None:
    """Let no dial wait for a second one; the library dials one address of each transport, and TCP is our only one."""
    libp2p.network.swarm._HAPPY_EYEBALLS_DELAY = 0


async def dial(host: IHost, peer: ID, addresses: Iterable[Multiaddr]) -> None:
    """Connect, trying each address; the library tries one and then blocks the peer for a minute.

    Raises: PeerUnreachableError.
    """
    network: Any = host.get_network()
    store = host.get_peerstore()
    causes: list[str] = []
    for address in await _resolve(addresses):
        network.unblock_peer(peer)
        try:
            store.clear_addrs(peer)
        except Exception:  # noqa: BLE001
            _log.debug("nothing known of %s yet", peer)
        try:
            with trio.fail_after(DIAL_SECONDS):
                await host.connect(PeerInfo(peer, [address]))
            return
        except Exception as error:  # noqa: BLE001
            # Dialling raises whatever a transport, the handshake or the multiplexer raised.
            causes.append(f"{address}: {error or type(error).__name__}")
    network.unblock_peer(peer)
    reason = "; ".join(causes)[:300] or "no address is known"
    raise PeerUnreachableError(f"peer {peer} cannot be reached ({reason})", "check that the peer's node is running")


async def _resolve(addresses: Iterable[Multiaddr]) -> list[Multiaddr]:
    """Names replaced by what this machine's resolver says of them; the library asks name servers of its own choice."""
    found: dict[Multiaddr, None] = {}
    for address in addresses:
        named = _NAMED.fullmatch(str(address))
        if named is None:
            found[address] = None
            continue
        family, name, port = _FAMILIES[named[1]], named[2], named[3]
        with trio.move_on_after(DIAL_SECONDS):
            try:
                answers = await trio.socket.getaddrinfo(name, int(port), family, trio.socket.SOCK_STREAM)
            except (OSError, UnicodeError) as error:
                _log.info("%s has no address: %s", name, error)
                continue
            for at, _, _, _, place in answers[:_MAX_RESOLVED]:
                found[Multiaddr(f"/ip{6 if at == trio.socket.AF_INET6 else 4}/{place[0]}/tcp/{port}")] = None
    return list(found)
