"""A development chain is kept going while its node runs: its process, its time, and a whole copy of its state."""

import logging
import threading
import time

from viz_node.chain.development import anvil
from viz_node.chain.development.ticking import Ticker
from viz_node.chain.node.rpc import JsonRpc
from viz_node.daemon.anvil_package import need_anvil_program
from viz_node.daemon.chains import Chain
from viz_node.daemon.config import Config

_COPY_SECONDS = 10.0
_CALL_SECONDS = 5.0

log = logging.getLogger(__name__)


class ChainKeeper:
    """Keeps a development chain going: its time, and its process if this node owns it; leaves any other chain alone."""

    def __init__(self, config: Config, chain: Chain) -> None:
        self._is_dev, self._owned, self._home = config.dev, chain.owned, config.home
        self._directory, self._rpc_url = config.home / "chain", chain.rpc_urls[0]
        self._rpc = JsonRpc(self._rpc_url, _CALL_SECONDS)
        self._ticker = Ticker(self._rpc)
        self._lock, self._is_over = threading.Lock(), False
        self._copied_block, self._copied = -1, 0.0

    def step(self) -> None:
        """Start Anvil again if its process died, and make a block if it is time. Raises: VizNodeError, OSError."""
        with self._lock:
            if self._is_over or not self._is_dev:
                return
            if self._owned and not anvil.is_running(self._directory):
                log.error("anvil ended and is started again; see %s/anvil.log", self._directory)
                port = int(self._rpc_url.rpartition(":")[2])
                anvil.start_anvil(self._directory, need_anvil_program(self._home), port)
            block, now = self._ticker.step(), time.monotonic()
            if self._owned and block != self._copied_block and now - self._copied > _COPY_SECONDS:
                anvil.keep_copy(self._directory)
                self._copied_block, self._copied = block, now

    def end(self) -> None:
        """End the local chain if this node owns it; its state stays on disk. Raises: DeadlineError."""
        with self._lock:
            self._is_over = True
            self._rpc.close()
            if self._owned:
                anvil.stop_anvil(self._directory)
