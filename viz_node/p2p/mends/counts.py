"""The library's resource manager is off: its stream count is for the whole process, so that a few strangers use it up.

`admission` counts connections, and `yamux` streams of each connection, instead. Kept true by
tests/unit/p2p/mends/test_counts.py.
"""

from typing import Any

from libp2p.abc import IHost


def install(host: IHost) -> None:
    """Count nothing for the whole process."""
    network: Any = host.get_network()
    network.set_resource_manager(None)
