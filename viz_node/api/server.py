"""The loopback listener of the local API: few connections at once, and little time for each to say what it wants.

A program that opens connections and sends nothing holds one descriptor per connection. Above the most that may be open,
the oldest one that has shown no token and no session is ended: a caller with one of them always gets in, and the rest
of the process keeps its descriptors. Headers must be complete, and the next request must begin, within `IDLE_SECONDS`.
"""

import asyncio
import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from viz_node.errors import LockedError

MOST_CONNECTIONS = 128
IDLE_SECONDS = 15.0
_LINGER_SECONDS = 2.0
_MOST_HEADERS = 64


class Connection(web.RequestHandler):
    """One connection; `is_known` once a request on it has shown the token or a session."""

    __slots__ = ("_held", "is_known")

    def __init__(
        self, server: web.Server, held: "dict[Connection, asyncio.BaseTransport]", idle_seconds: float
    ) -> None:
        super().__init__(
            server,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type] # the library reads None as "no log"
            keepalive_timeout=idle_seconds,
            lingering_time=_LINGER_SECONDS,
            max_headers=_MOST_HEADERS,
        )
        self._held = held
        self.is_known = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Take the connection in, and end another one, or this one, when there are too many."""
        super().connection_made(transport)
        self._held[self] = transport
        if len(self._held) > MOST_CONNECTIONS:
            oldest = next((held for held in self._held if not held.is_known), self)
            ended = self._held.pop(oldest)
            assert isinstance(ended, asyncio.Transport)
            # Not close(), which would wait for a peer that reads nothing.
            ended.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        """Forget it."""
        self._held.pop(self, None)
        super().connection_lost(exc)


@asynccontextmanager
async def serve(app: web.Application, port: int, idle_seconds: float = IDLE_SECONDS) -> AsyncIterator[int]:
    """Listen on 127.0.0.1 and give the port (0 takes a free one). Raises: LockedError (the port is taken)."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    server, held = runner.server, dict[Connection, asyncio.BaseTransport]()
    assert server is not None
    try:
        try:
            listener = await asyncio.get_running_loop().create_server(
                lambda: Connection(server, held, idle_seconds), "127.0.0.1", port, backlog=MOST_CONNECTIONS
            )
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise LockedError(f"port {port} is taken", "choose another: viz-node start --port N") from error
            raise
        try:
            yield int(listener.sockets[0].getsockname()[1])
        finally:
            listener.close()
    finally:
        await runner.cleanup()
