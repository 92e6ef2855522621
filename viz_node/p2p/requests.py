"""Request and reply between two nodes: one stream per request, a deadline on every read, bounded concurrency."""

import logging
from typing import Final

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID

from viz_node.domain.ids import PeerId
from viz_node.errors import DeadlineError, NotFoundError, PeerUnreachableError, RefusedError, VizNodeError
from viz_node.p2p import wire
from viz_node.p2p.links import Links
from viz_node.p2p.offerings import RequestHandler
from viz_node.p2p.shares import Shares
from viz_node.p2p.streams import STREAM_FAILURES, abandon, finish, peer_of, read_frame, write_frame

_log = logging.getLogger(__name__)
PROTOCOL: Final = TProtocol("/viz/request/1.0.0")
MAX_SERVED: Final = 64
MAX_SERVED_PER_PEER: Final = 8
MAX_SENT: Final = 64
HANDLER_SECONDS: Final = 120.0


class RequestProtocol:
    """Both ends of `/viz/request/1.0.0`."""

    def __init__(self, links: Links, handlers: dict[str, RequestHandler]) -> None:
        self._links = links
        self._handlers = handlers
        self._sending = trio.CapacityLimiter(MAX_SENT)
        self._shares = Shares(MAX_SERVED, MAX_SERVED_PER_PEER)
        links.host.set_stream_handler(PROTOCOL, self._on_stream)

    async def request(self, peer: ID, method: str, payload: bytes, timeout_seconds: float) -> bytes:
        """Ask a peer. Raises: the peer's own error (see `wire.parse_reply`), PeerUnreachableError, DeadlineError."""
        body = wire.request_body(method, payload)
        wire.frame(body)
        try:
            with trio.fail_after(timeout_seconds):
                async with self._sending:
                    return wire.parse_reply(await self._exchange(peer, body, timeout_seconds))
        except trio.TooSlowError as error:
            raise DeadlineError(
                f"peer {peer} did not answer {method!r} in {timeout_seconds:g} s", "try again"
            ) from error

    async def _exchange(self, peer: ID, body: bytes, timeout_seconds: float) -> bytes:
        stream = await self._links.open_stream(peer, PROTOCOL)
        failure: BaseException | None = None
        reply = b""
        try:
            # A busy peer answers without reading what was sent.
            async with trio.open_nursery() as nursery:
                nursery.start_soon(_send, stream, body, timeout_seconds)
                try:
                    reply = await read_frame(stream, timeout_seconds)
                except (*STREAM_FAILURES, VizNodeError) as error:
                    failure = error
                nursery.cancel_scope.cancel()
        except BaseException:
            await abandon(stream)
            raise
        if failure is None:
            await finish(stream)
            return reply
        await abandon(stream)
        if isinstance(failure, trio.TooSlowError | VizNodeError):
            raise failure
        raise PeerUnreachableError(f"peer {peer} broke off: {failure!r}", "try again") from failure

    async def _on_stream(self, stream: INetStream) -> None:
        peer = peer_of(stream)
        try:
            with self._shares.place(peer) as is_free:
                if not is_free:
                    await write_frame(
                        stream, wire.error_body(RefusedError("the node is busy", "try again in a moment"))
                    )
                else:
                    await write_frame(stream, await self._answer(peer, await read_frame(stream)))
            await finish(stream)
        except (*STREAM_FAILURES, VizNodeError) as error:
            _log.debug("a request of %s ended early: %r", peer, error)
            await abandon(stream)

    async def _answer(self, peer: PeerId, body: bytes) -> bytes:
        try:
            method, payload = wire.parse_request(body)
            handler = self._handlers.get(method)
            if handler is None:
                raise NotFoundError(f"this node does not serve {method!r}")
            with trio.fail_after(HANDLER_SECONDS):
                reply = wire.reply_body(await handler(peer, payload))
            wire.frame(reply)
            return reply
        except VizNodeError as error:
            return wire.error_body(error)
        except trio.TooSlowError:
            return wire.error_body(DeadlineError("the node took too long", "try again"))
        except Exception:  # noqa: BLE001
            # The stranger learns that it failed, the log learns why.
            _log.exception("a request handler failed")
            return wire.error_body(VizNodeError("the node failed at this request"))


async def _send(stream: INetStream, body: bytes, seconds: float) -> None:
    try:
        await write_frame(stream, body, seconds)
    except STREAM_FAILURES as error:
        _log.debug("a request was not sent whole: %r", error)  # the reader learns it too, or has the reply
