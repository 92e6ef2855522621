"""All that reshapes libp2p, one file per mend; made for the version named here, and nothing outside reaches inside it.

Each `test_upstream__…` in tests/unit/p2p/mends shows the fault on the library as it comes, and fails once an update no
longer has it: then the mend goes. Before an update, run these and read what changed in the functions named here.

dialling.py
    libp2p  tries one address of each transport (`Swarm.dial_peer`), waits 250 ms after it has got through, refuses to
            dial the peer for a minute after a failure, and asks name servers of its own choice.
    here    each address is tried in turn, at once and as often as asked; this machine's resolver answers for names.
    why     a node with two addresses was not reached, names in /etc/hosts were unknown, each dial took 250 ms longer.
inbound.py
    libp2p  keeps an inbound place until the host stops (`Swarm._handle_inbound_connection`).
    here    `Places` gives it back when the connection ends, and shares places between addresses and peers.
    why     a node heard nobody after 124 connections in its life.
counts.py
    libp2p  counts streams for the whole host (`ResourceManager.acquire_stream`).
    here    off; connections are counted by `Places`, streams for each connection by `yamux`.
    why     a few strangers use up the count of all others.
handlers.py
    libp2p  lets a handler's exception end the host, leaves the stream of a handler that returned open, and keeps what
            lies unread on a stream that was closed (`SwarmConn._handle_muxed_stream`).
    here    a stream ends with its handler, and nothing else does; nobody reads on: what is unread is dropped.
    why     one defect in one handler, or one odd message, ended the node; strangers' bytes stayed in memory.
openings.py
    libp2p  never forgets a stream that was cancelled while it started (`Yamux.open_stream`).
    here    a start is shielded from cancellation, for five seconds at most.
    why     after 256 of them a connection opens no more.
yamux.py, yamux_stream.py, yamux_scales.py
    libp2p  warns of more data than was granted and keeps it; bounds neither a peer's streams nor what lies unread on
            all of them; looks at a window that is closed every 10 ms and gives up after 5 s; answers each small read
            with a window update (`Yamux.handle_incoming`, `YamuxStream`).
    here    each frame is judged before a byte of it is read; 128 streams, 64 MiB on a connection, 256 MiB on all; a
            writer sleeps until its window opens, at most a minute; an update goes out per quarter of the window. An
            ended connection says so at once (`has_ended`), which the library tells only after its clean-up.
    why     a stranger filled the memory; transfers were slow and broke off at a slow disk.
noise.py
    libp2p  reads each message's length and body separately from the socket, and a write that is cancelled halfway
            makes all that follows unreadable (`SecureSession`).
    here    many messages per read; what a cancelled write left goes out before the next.
    why     much of a transfer's time was system calls; a cancelled request ended the connection for all others.
gossip.py
    libp2p  lets a message that cannot be decoded end the host (`Pubsub.push_msg`, `continuously_read_stream`).
    here    it is dropped, and a stream of them is closed.
    why     any peer could end any node.
dht.py
    libp2p  has twelve places that one peer may hold for as long as it likes, with messages of up to 4 MiB
            (`KadDHT.handle_stream`); answers a look-up from its own store without asking (`get_value`,
            `find_providers`).
    here    48 places, three for a peer, a minute each, 256 KiB a message; a look-up asks peers, and strangers'
            malformed answers are no answers.
    why     one peer kept all others out; what this node had once heard, however old, was the newest that it found.
addresses.py
    libp2p  tells peers every bound address when there is nothing to announce (`identify._mk_identify_protobuf`).
    here    it tells nothing.
    why     peers dialled 127.0.0.1 and 0.0.0.0.
logs.py
    libp2p  cuts its loggers off from the root logger when it is imported (`setup_logging`), and speaks at every dial.
    here    its warnings, and nothing less, reach the node's log.
    why     faults were silent.
"""

from typing import Final

UPSTREAM: Final = "0.8.1"
"""The version of libp2p that all of this is made for; kept true by tests/unit/p2p/mends/test_mends.py."""
