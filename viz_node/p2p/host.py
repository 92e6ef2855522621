"""The libp2p host as viz-node needs it: TCP, Noise and Yamux only, and no stranger's bytes may end it."""

import logging
import re
from collections.abc import Iterable
from typing import Any, Final

import libp2p.network.swarm
import trio
from libp2p import new_host
from libp2p.abc import IHost, INetStream
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.network.config import ConnectionConfig
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo, info_from_p2p_addr
from libp2p.pubsub.pubsub import Pubsub
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from multiaddr import Multiaddr

from viz_node.domain.ids import PeerId
from viz_node.domain.peer_address import parse_listen
from viz_node.errors import PeerUnreachableError, UsageError
from viz_node.p2p import yamux
from viz_node.p2p.noise import FastNoise
from viz_node.p2p.reach import Reach
from viz_node.p2p.streams import EndOfStreams, abandon

_log = logging.getLogger(__name__)
DIAL_SECONDS: Final = 10.0
_START_SECONDS: Final = 5.0
_NAMED: Final = re.compile(r"/(dns|dns4|dns6)/([^/]+)/tcp/(\d+)")
_FAMILIES: Final = {"dns": trio.socket.AF_UNSPEC, "dns4": trio.socket.AF_INET, "dns6": trio.socket.AF_INET6}
_MAX_RESOLVED: Final = 4

# libp2p waits for this timer even after the dial has succeeded; it dials one address per transport anyway.
libp2p.network.swarm._HAPPY_EYEBALLS_DELAY = 0
# Importing libp2p cuts its loggers off from the root, and one of them speaks at every dial.
logging.getLogger("libp2p").propagate = True
for _name in ("libp2p", "libp2p.network.auto_connector"):
    logging.getLogger(_name).setLevel(logging.WARNING)


class SafePubsub(Pubsub):
    """Pubsub that survives malformed messages; in the library one undecodable message ends the process."""

    async def push_msg(self, msg_forwarder: ID, msg: Any) -> None:
        """Handle one message; a malformed one is dropped."""
        try:
            await super().push_msg(msg_forwarder, msg)
        except Exception as error:  # noqa: BLE001
            _log.warning("dropped a malformed gossip message from %s: %r", msg_forwarder, error)

    async def continuously_read_stream(self, stream: INetStream) -> None:
        """Read a peer's messages until its stream ends; a malformed one ends that stream only."""
        try:
            await super().continuously_read_stream(stream)
        except Exception as error:  # noqa: BLE001
            _log.warning("closed a malformed gossip stream: %r", error)
            await abandon(stream)


def guard_handlers(host: IHost) -> None:
    """Keep an exception in any stream handler from ending the host; a stream ends with its handler."""
    network: Any = host.get_network()
    inner = network.common_stream_handler

    async def guarded(stream: INetStream) -> None:
        try:
            await inner(stream)
        except Exception as error:  # noqa: BLE001
            _log.warning("a stream handler failed: %r", error)
            await abandon(stream)
        else:
            muxed: Any = stream.muxed_stream  # type: ignore[attr-defined]
            if not muxed.send_closed:
                await abandon(stream)

    network.set_stream_handler(guarded)
    network.register_notifee(EndOfStreams())


def shield_openings(host: IHost) -> None:
    """Let no cancellation come between a stream's start and the library's clean-up of it.

    The library keeps a stream that was cancelled there for ever; after 256 of them a connection opens no more. To start
    one is to send a frame: only a peer that reads nothing can make it last.
    """
    network: Any = host.get_network()
    inner = network.new_stream

    async def shielded(peer_id: ID) -> INetStream:
        with trio.CancelScope(shield=True), trio.fail_after(_START_SECONDS):
            stream: INetStream = await inner(peer_id)
            return stream

    network.new_stream = shielded


def make_host(seed: bytes, listen: str, reach: Reach | None = None) -> IHost:
    """A host for this Ed25519 seed, not running yet; `reach` says what it tells peers of where it is.

    Raises: UsageError (the address or the seed is malformed).
    """
    if len(seed) != 32:
        raise UsageError("a network seed has 32 bytes")
    keys, reach = create_new_key_pair(seed), reach or Reach()
    host = new_host(
        key_pair=keys,
        listen_addrs=[Multiaddr(str(parse_listen(listen)))],
        # The default would also accept /plaintext/2.0.0.
        sec_opt={NOISE: FastNoise(keys, noise_privkey=create_noise_key_pair().private_key)},
        muxer_opt={TProtocol(YAMUX): Yamux},
        connection_config=ConnectionConfig(
            min_connections=4, low_watermark=8, high_watermark=96, max_connections=256, inbound_upgrade_timeout=5.0
        ),
        # What strangers say of this node's address is not passed on.
        disable_identify_address_discovery=True,
        addrs_factory=reach.choose,
    )
    # Its counts are for the whole process, so that a few strangers use them up; `admission` and `yamux` count instead.
    network: Any = host.get_network()
    network.set_resource_manager(None)
    reach.install(host)
    yamux.install(host)
    guard_handlers(host)
    shield_openings(host)
    return host


def peer_id_of_seed(seed: bytes) -> PeerId:
    """The peer id of an Ed25519 seed."""
    return PeerId(str(ID.from_pubkey(create_new_key_pair(seed).public_key)))


def parse_peer_address(text: str) -> PeerInfo:
    """Read `/ip4/…/tcp/…/p2p/<peer id>`. Raises: UsageError."""
    try:
        return info_from_p2p_addr(Multiaddr(text))
    except Exception as error:
        # multiaddr and libp2p raise a dozen classes here, KeyError and AttributeError among them.
        raise UsageError(f"{text!r} is not a peer's address", "write it like /ip4/…/tcp/…/p2p/<peer id>") from error


def parse_peer_id(text: str) -> ID:
    """Read a base58 peer id. Raises: UsageError."""
    try:
        peer = ID.from_string(text)
    except Exception as error:
        raise UsageError(f"{text!r} is not a peer id") from error
    if str(peer) != text:
        raise UsageError(f"{text!r} is not a peer id")
    return peer


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
