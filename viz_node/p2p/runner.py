"""The network core in its thread: started, stopped, and told when it died; what this node offers outlives it."""

import asyncio
import logging
from collections.abc import Callable

from viz_node.errors import PeerUnreachableError
from viz_node.p2p.bridge import TrioThread
from viz_node.p2p.core import Core, CoreSettings
from viz_node.p2p.offerings import Offerings

_log = logging.getLogger(__name__)


class CoreRunner:
    """`failed` is set when the core died and may start again; open tunnels do not survive a restart."""

    def __init__(self, settings: CoreSettings) -> None:
        self.failed = asyncio.Event()
        self.offerings = Offerings()
        self._settings = settings
        self._thread: TrioThread | None = None
        self._core: Core | None = None

    async def start(self) -> None:
        """Listen and join. Raises: LockedError (the port is taken), UsageError (malformed address)."""
        if self._thread is not None:
            await self.stop()
        self.failed.clear()
        core = Core(self._settings, self.offerings)
        self._thread = thread = TrioThread(self._on_end)
        try:
            await thread.start(core.run)
        except BaseException:
            self._thread = None
            await thread.stop()
            raise
        self._core = core

    async def stop(self) -> None:
        """Leave the network, within two seconds; stopping twice is fine."""
        thread, self._thread, self._core = self._thread, None, None
        if thread is not None:
            await thread.stop()

    def _on_end(self, error: BaseException | None) -> None:
        if self._thread is not None:
            _log.error("the network core died: %r", error)
            self._core = None
            self.failed.set()

    def running(self) -> tuple[TrioThread, Core]:
        """The thread and the core in it. Raises: PeerUnreachableError (it is down)."""
        if self._thread is None or self._core is None:
            raise PeerUnreachableError("the network core is not running", "wait until it has started again")
        return self._thread, self._core

    @property
    def is_running(self) -> bool:
        """Whether `running` would answer."""
        return self._thread is not None and self._core is not None

    def post(self, function: Callable[..., None], *arguments: object) -> None:
        """From the core's thread: call a plain function in the asyncio loop, soon."""
        if self._thread is not None:
            self._thread.post(function, *arguments)

    @property
    def addresses(self) -> list[str]:
        """Full multiaddrs with the peer id, for peers on this machine at least; empty while the core is down."""
        return self._core.addresses if self._core else []

    @property
    def local_addresses(self) -> list[str]:
        """Full multiaddrs with the peer id for peers on this machine; empty while the core is down."""
        return self._core.local_addresses if self._core else []

    @property
    def announced(self) -> list[str]:
        """Those that other peers are told; empty also when no other machine can reach this node."""
        return self._core.announced if self._core else []

    @property
    def trouble(self) -> str:
        """Why this node cannot take peers now; empty when it can."""
        if self._core is None or not self._core.addresses:
            return "it is down, and is started again"
        places = self._core.places
        if not places.is_open:
            return f"no room for new peers: {places.taken} addresses hold one connection each"
        return ""
