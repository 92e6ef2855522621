"""Request and reply between two nodes: one stream per request, a deadline on every read, bounded concurrency."""

import logging
from collections import Counter
from typing import Final

import trio
from libp2p.abc import INetStream
from libp2p.custom_types import TProtocol
from libp2p.peer.id import ID

from viz_node.domain.ids import PeerId
from viz_node.errors import DeadlineError, NotFoundError, PeerUnreachableError, RefusedError, VizNodeError
from viz_node.p2p import wire
from viz_node.p2p.links import Links, peer_of
from viz_node.p2p.offerings import RequestHandler
from viz_node.p2p.streams import STREAM_FAILURES, abandon, finish, grant_window, read_frame, write_frame

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
        self._served: Counter[PeerId] = Counter()
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
        done = False
        try:
            await grant_window(stream, 2 * wire.MAX_FRAME_BYTES)
            await write_frame(stream, body, timeout_seconds)
            reply = await read_frame(stream, timeout_seconds)
            done = True
            return reply
        except trio.TooSlowError:
            raise
        except STREAM_FAILURES as error:
            raise PeerUnreachableError(f"peer {peer} broke off: {error!r}", "try again") from error
        finally:
            await (finish(stream) if done else abandon(stream))

    async def _on_stream(self, stream: INetStream) -> None:
        peer = peer_of(stream)
        self._served[peer] += 1
        try:
            await grant_window(stream, 2 * wire.MAX_FRAME_BYTES)
            body = await read_frame(stream)
            await write_frame(stream, await self._answer(peer, body))
            await finish(stream)
        except (*STREAM_FAILURES, VizNodeError) as error:
            _log.debug("a request of %s ended early: %r", peer, error)
            await abandon(stream)
        finally:
            self._served[peer] -= 1
            if not self._served[peer]:
                del self._served[peer]

    async def _answer(self, peer: PeerId, body: bytes) -> bytes:
        try:
            if self._served[peer] > MAX_SERVED_PER_PEER or self._served.total() > MAX_SERVED:
                raise RefusedError("the node is busy", "try again in a moment")
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
