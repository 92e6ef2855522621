"""Questions to peers and answers to theirs, and tunnels to their ports, as the asyncio side of the node sees them."""

from collections.abc import Awaitable, Callable

from viz_node.domain.ids import PeerId
from viz_node.p2p.offerings import TunnelDoor
from viz_node.p2p.runner import CoreRunner


class PeerRequests:
    """Request and reply; what is served is kept over a restart of the core."""

    def __init__(self, runner: CoreRunner) -> None:
        self.runner = runner

    def serve(self, method: str, handler: Callable[[PeerId, bytes], Awaitable[bytes]]) -> None:
        """Answer requests of that name; the handler runs in the asyncio loop, its VizNodeErrors travel back."""

        async def in_asyncio(peer_id: PeerId, payload: bytes) -> bytes:
            return await handler(peer_id, payload)

        async def in_trio(peer_id: PeerId, payload: bytes) -> bytes:
            thread, _ = self.runner.running()
            return await thread.call_asyncio(in_asyncio, peer_id, payload)

        self.runner.offerings.handlers[method] = in_trio

    async def request(
        self,
        peer_id: PeerId,
        method: str,
        payload: bytes,
        timeout_seconds: float = 20,
        addresses: tuple[str, ...] = (),
    ) -> bytes:
        """Ask a peer; at most 1 MiB each way.

        Raises: the peer's own error when its class may travel (see `wire`), DeadlineError, PeerUnreachableError,
        UsageError, VerificationError (the reply is malformed).
        """
        thread, core = self.runner.running()
        return await thread.call(core.request, peer_id, method, payload, timeout_seconds, tuple(addresses))


class PeerTunnels(PeerRequests):
    """TCP ports of peers on this machine, and of this machine at peers."""

    def serve_tunnel(self, name: str, port: int, may_connect: Callable[[PeerId], bool]) -> None:
        """Let those peers reach 127.0.0.1:port of this machine under that name."""

        async def ask(peer_id: PeerId) -> bool:
            return may_connect(peer_id)

        async def in_trio(peer_id: PeerId) -> bool:
            thread, _ = self.runner.running()
            return await thread.call_asyncio(ask, peer_id)

        self.runner.offerings.doors[name] = TunnelDoor(port, in_trio)

    async def open_tunnel(self, peer_id: PeerId, name: str) -> int:
        """A port of 127.0.0.1 whose connections come out at the peer's door of that name.

        Raises: PeerUnreachableError, RefusedError (the peer does not let this node in).
        """
        thread, core = self.runner.running()
        return await thread.call(core.open_tunnel, peer_id, name)

    async def close_tunnel(self, name: str) -> None:
        """Close this node's end, whether it was opened or served here; unknown names are fine."""
        self.runner.offerings.doors.pop(name, None)
        if self.runner.is_running:
            thread, core = self.runner.running()
            await thread.call(core.tunnels.close, name)
