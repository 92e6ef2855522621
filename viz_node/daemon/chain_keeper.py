"""A development chain is kept going while its node runs: its process, its time, and a whole copy of its state.

A killed Anvil loses the blocks that are in no file yet. The node books a transaction only in a block that the copy has
(`Confirmations` of `daemon/chains.py`), so its pipeline resends lost transactions, as after any reorganisation.
"""

import logging
import threading
import time

from viz_node.chain.development import anvil, faucet
from viz_node.chain.development.ticking import Ticker
from viz_node.chain.node.rpc import JsonRpc
from viz_node.daemon.anvil_package import need_anvil_program
from viz_node.daemon.chains import TEST_MONEY, Chain
from viz_node.daemon.config import Config
from viz_node.domain.health import Check, failed, warned, well
from viz_node.domain.ids import Account
from viz_node.errors import ChainUnavailableError, VizNodeError

_COPY_SECONDS = 4.0
_CALL_SECONDS = 5.0

NAME = "chain's process"
log = logging.getLogger(__name__)


class ChainKeeper:
    """Keeps a development chain going: its time, and its process if this node owns it; leaves any other chain alone."""

    def __init__(self, config: Config, chain: Chain, account: Account) -> None:
        self._account, self._deployment = account, chain.deployment
        self._is_dev, self._owned, self._home = config.dev, chain.owned, config.home
        self._directory, self._rpc_url = config.home / "chain", chain.rpc_urls[0]
        self._rpc = JsonRpc(self._rpc_url, _CALL_SECONDS)
        self._ticker = Ticker(self._rpc)
        self._lock, self._is_over = threading.Lock(), False
        self._copied = 0.0
        self._was_away = False
        self._trouble: Check | None = None

    def check(self) -> Check:
        """Whether the chain's process runs, if it is this node's, and its state can be kept."""
        return self._trouble or well(NAME, "runs" if self._is_dev and self._owned else "not this node's to keep")

    def step(self) -> None:
        """Start Anvil again if its process died, and make a block if it is time. Raises: VizNodeError, OSError."""
        with self._lock:
            if self._is_over or not self._is_dev:
                return
            if self._owned and not anvil.is_running(self._directory):
                self._start_again()
            block, now = self._tick(), time.monotonic()
            if self._was_away:
                faucet.fund_once(self._rpc_url, self._deployment, self._account, TEST_MONEY)
                self._was_away = False
            is_due = now - self._copied > _COPY_SECONDS and anvil.saved_block(self._directory) < block
            if self._owned and is_due:
                self._keep_copy()
                self._copied = now
            self._trouble = None

    def _start_again(self) -> None:
        self._was_away = True
        try:
            port = int(self._rpc_url.rpartition(":")[2])
            anvil.start_anvil(self._directory, need_anvil_program(self._home), port)
        except (VizNodeError, OSError) as error:
            self._trouble = failed(NAME, f"it ended and cannot be started again: {error}", _way_on(error))
            raise
        log.error("anvil ended and was started again; see %s/anvil.log", self._directory)

    def _keep_copy(self) -> None:
        try:
            anvil.keep_copy(self._directory)
        except (VizNodeError, OSError) as error:
            self._trouble = warned(NAME, f"its state cannot be kept: {error}", _way_on(error))
            raise

    def _tick(self) -> int:
        try:
            return self._ticker.step()
        except ChainUnavailableError:
            self._was_away = True
            raise

    def end(self) -> None:
        """End the local chain if this node owns it; its state stays on disk. Raises: DeadlineError."""
        with self._lock:
            self._is_over = True
            self._rpc.close()
            if self._owned:
                anvil.stop_anvil(self._directory)


def _way_on(error: Exception) -> str:
    hint = error.hint if isinstance(error, VizNodeError) else ""
    return f"{hint or 'see viz-node logs'}; the node tries again every few seconds"
