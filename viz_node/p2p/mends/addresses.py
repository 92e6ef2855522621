"""A host that has nothing to announce tells peers nothing.

In the library identify falls back on every address that is bound, loopback and 0.0.0.0 among them, when the host's
choice of addresses is empty. Kept true by tests/unit/p2p/mends/test_addresses.py.
"""

from collections.abc import Callable
from typing import Any

from libp2p.abc import IHost
from multiaddr import Multiaddr


def install(host: IHost) -> Callable[[], list[Multiaddr]]:
    """Hide the bound addresses from the library; the answer still tells them."""
    library: Any = host
    bound: Callable[[], list[Multiaddr]] = library.get_transport_addrs
    library.get_transport_addrs = list
    return bound
