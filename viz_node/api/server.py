"""The loopback listener of the local API."""

import errno
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from aiohttp import web

from viz_node.errors import LockedError


@asynccontextmanager
async def serve(app: web.Application, port: int) -> AsyncIterator[int]:
    """Listen on 127.0.0.1 and give the port (0 takes a free one). Raises: LockedError (the port is taken)."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    try:
        try:
            site = web.TCPSite(runner, "127.0.0.1", port)
            await site.start()
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                raise LockedError(f"port {port} is taken", "choose another: viz-node start --port N") from error
            raise
        yield int(runner.addresses[0][1])
    finally:
        await runner.cleanup()
