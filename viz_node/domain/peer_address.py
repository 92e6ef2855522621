"""The multiaddresses that a node listens on and announces: strict forms of TCP over IP or a name; no I/O."""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from viz_node.domain.ids import PeerId
from viz_node.errors import UsageError

IpAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
MAX_ANNOUNCED: Final = 8
LISTEN_EXAMPLE: Final = "/ip4/0.0.0.0/tcp/4001"
ANNOUNCE_EXAMPLE: Final = "/ip4/203.0.113.7/tcp/4001"

_FORM = re.compile(r"/(ip4|ip6|dns|dns4|dns6)/([^/\s]{1,253})/tcp/(0|[1-9][0-9]{0,4})")
_LABEL = re.compile(r"(?!-)[A-Za-z0-9-]{1,63}(?<!-)")
_OTHER_TRANSPORTS = re.compile(r"/(udp|quic|quic-v1|ws|wss|tls|webtransport|webrtc|webrtc-direct|http|https|unix)(/|$)")


@dataclass(frozen=True)
class Neighbour:
    """A peer that this node knows, its multiaddresses, and whether there is a connection now."""

    peer_id: PeerId
    addresses: tuple[str, ...]
    connected: bool


@dataclass(frozen=True)
class TcpAddress:
    """One address of the form `/<kind>/<host>/tcp/<port>`; `ip` is None for a name."""

    kind: str
    host: str
    port: int
    ip: IpAddress | None

    def __str__(self) -> str:
        return f"/{self.kind}/{self.host}/tcp/{self.port}"


def parse_listen(text: str) -> TcpAddress:
    """An address of this machine to listen on; port 0 lets the system choose. Raises: UsageError."""
    hint = f"write it like {LISTEN_EXAMPLE}"
    address = _parse(text, "a listen address", hint)
    if address.ip is None:
        raise UsageError(
            f"{text!r} is not a listen address: a node listens on an address of its machine, not on a name",
            f"{hint}, and the name under announce",
        )
    if address.ip.is_multicast or address.host == "255.255.255.255":
        raise UsageError(f"{text!r} is not a listen address: no machine has {address.host}", hint)
    return address


def parse_announced(text: str, is_public: bool) -> TcpAddress:
    """An address to tell other peers. Raises: UsageError, also for one that no other machine can use if `is_public`."""
    hint = f"write where others reach this node, like {ANNOUNCE_EXAMPLE}"
    address = _parse(text, "an address to announce", hint)
    if address.port == 0:
        raise UsageError(f"{text!r} cannot be announced: it needs the port on which others reach this node", hint)
    cause = _unusable(address, is_public)
    if cause:
        raise UsageError(f"{text!r} cannot be announced: {cause}", hint)
    return address


def parse_all_announced(texts: Iterable[str], is_public: bool) -> list[TcpAddress]:
    """Each of them, as `parse_announced`. Raises: UsageError."""
    addresses = [parse_announced(text, is_public) for text in texts]
    if len(addresses) > MAX_ANNOUNCED:
        raise UsageError(f"{len(addresses)} addresses cannot be announced", f"name at most {MAX_ANNOUNCED}")
    return addresses


def reachable_addresses(bound: Iterable[TcpAddress], interfaces: Iterable[str], is_public: bool) -> list[TcpAddress]:
    """Where others reach a node that listens there, public ones first; `interfaces` are this machine's addresses.

    `0.0.0.0` stands for every IPv4 address of the machine, `::` for those of IPv6, too. Left out is what no other
    machine can use, and this machine itself unless the network is one for development.
    """
    own = [parse_ip(text) for text in interfaces]
    found: dict[TcpAddress, None] = {}
    for address in bound:
        if address.ip is None or not address.ip.is_unspecified:
            found[address] = None
            continue
        loopback = ipaddress.ip_address("127.0.0.1" if address.ip.version == 4 else "::1")
        for ip in (*own, loopback):
            if ip is not None and ip.version <= address.ip.version:
                found[TcpAddress(f"ip{ip.version}", str(ip), address.port, ip)] = None
    usable = [address for address in found if not _unusable(address, is_public)]
    return sorted(usable, key=lambda item: (_is_loopback(item), not (item.ip and item.ip.is_global)))[:MAX_ANNOUNCED]


def parse_ip(text: str) -> IpAddress | None:
    """An address, or None for anything else, and for one with a zone."""
    try:
        return ipaddress.ip_address(text) if "%" not in text else None
    except ValueError:
        return None


def _parse(text: str, what: str, hint: str) -> TcpAddress:
    if "/p2p/" in text:
        raise UsageError(f"{text!r} is not {what}: the node adds /p2p/ and its own id", hint)
    if _OTHER_TRANSPORTS.search(text):
        raise UsageError(f"{text!r} is not {what}: nodes speak TCP only, no UDP, QUIC or WebSocket", hint)
    match = _FORM.fullmatch(text)
    if match is None:
        raise UsageError(f"{text!r} is not {what}", hint)
    kind, host, port = match[1], match[2], int(match[3])
    if port > 65535:
        raise UsageError(f"{text!r} is not {what}: ports end at 65535", hint)
    if kind.startswith("dns"):
        labels = host.rstrip(".").split(".")
        if not all(map(_LABEL.fullmatch, labels)) or labels[-1].isdigit():
            raise UsageError(f"{text!r} is not {what}: {host} is not a name", hint)
        return TcpAddress(kind, host.rstrip(".").lower(), port, None)
    ip = parse_ip(host)
    if ip is None or f"ip{ip.version}" != kind:
        raise UsageError(f"{text!r} is not {what}: {host} is not an {kind.replace('ip', 'IPv')} address", hint)
    if ip.version == 6 and ip.ipv4_mapped:
        raise UsageError(
            f"{text!r} is not {what}: {host} is an IPv4 address", f"write /ip4/{ip.ipv4_mapped}/tcp/{port}"
        )
    return TcpAddress(kind, str(ip), port, ip)


def _unusable(address: TcpAddress, is_public: bool) -> str:
    """Why others cannot use it; empty when they can."""
    ip = address.ip
    if ip is not None and (ip.is_unspecified or ip.is_multicast or str(ip) == "255.255.255.255"):
        return f"{ip} is no machine's address"
    if ip is not None and ip.is_link_local:
        return f"{ip} holds on one wire only"
    if is_public and _is_loopback(address):
        return f"{address.host} is each machine's own"
    return ""


def _is_loopback(address: TcpAddress) -> bool:
    if address.ip is not None:
        return address.ip.is_loopback
    return address.host == "localhost" or address.host.endswith(".localhost")
