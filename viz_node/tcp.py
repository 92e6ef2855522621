"""Ports for servers of this machine that keep their port while they are down."""

import random
import socket

# Below what systems lend to outgoing connections (32768 on Linux, 49152 elsewhere): nobody else is given one of these.
_PORTS = range(20_000, 32_768)


def choose_port(host: str = "127.0.0.1") -> int:
    """A port on which nobody listens; 0, for which the system chooses, when none is found."""
    return next((port for port in random.sample(_PORTS, 100) if is_free(port, host)), 0)


def is_free(port: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError):
            return False
    return True
