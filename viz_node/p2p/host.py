"""The libp2p host as viz-node needs it: TCP, Noise and Yamux only, and no stranger's bytes may end it."""

from libp2p import new_host
from libp2p.abc import IHost
from libp2p.crypto.ed25519 import create_new_key_pair
from libp2p.crypto.x25519 import create_new_key_pair as create_noise_key_pair
from libp2p.custom_types import TProtocol
from libp2p.network.config import ConnectionConfig
from libp2p.peer.id import ID
from libp2p.peer.peerinfo import PeerInfo, info_from_p2p_addr
from libp2p.security.noise.transport import PROTOCOL_ID as NOISE
from libp2p.stream_muxer.yamux.yamux import PROTOCOL_ID as YAMUX
from libp2p.stream_muxer.yamux.yamux import Yamux
from multiaddr import Multiaddr

from viz_node.domain.ids import PeerId
from viz_node.domain.peer_address import parse_listen
from viz_node.errors import UsageError
from viz_node.p2p.mends import addresses, counts, dialling, handlers, logs, openings, yamux
from viz_node.p2p.mends.noise import FastNoise
from viz_node.p2p.reach import Reach


def make_host(seed: bytes, listen: str, reach: Reach) -> IHost:
    """A host for this Ed25519 seed, not running yet; `reach` says what it tells peers of where it is.

    Raises: UsageError (the address or the seed is malformed).
    """
    if len(seed) != 32:
        raise UsageError("a network seed has 32 bytes")
    keys = create_new_key_pair(seed)
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
    logs.install()
    dialling.install()
    counts.install(host)
    reach.listens_as(addresses.install(host))
    yamux.install(host)
    handlers.install(host)
    openings.install(host)
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
