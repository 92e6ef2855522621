"""What a running node watches in itself: the one list behind `/readyz` and `status`, and a part of `doctor`.

Each check is a small function without arguments that returns at once; `vital_checks` puts them together. What takes
time, such as a call to the chain, is done in the background and only remembered here.
"""

import errno
import resource
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from viz_node.domain.health import Check, Health, failed, warned, well
from viz_node.errors import VizNodeError

Probe = Callable[[], Check]

FULL_BYTES = 64 * 1024 * 1024
LOW_BYTES = 2 * 1024**3
_MOST_USED = 0.9
_MUCH_USED = 0.75
FEWEST_DESCRIPTORS = 512
SILENT_SECONDS = 10.0
LOOK_SECONDS = 4.0


class Network(Protocol):
    """The part of the peer network that is looked at."""

    @property
    def addresses(self) -> list[str]:
        """Where it listens; empty while it is down."""

    @property
    def trouble(self) -> str:
        """Why it cannot take peers; empty when it can."""


class ChainWatch:
    """Remembers when the chain last answered; `look` is called again and again from outside."""

    def __init__(self, ask: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        """`ask` gives the time of the latest block."""
        self._ask, self._clock = ask, clock
        self._silent_since: float | None = None
        self._error = ""
        self.head_time = 0

    def look(self) -> None:
        """Ask the chain once; takes as long as the endpoint does."""
        begun = self._clock()
        try:
            self.head_time = self._ask()
            self._silent_since, self._error = None, ""
        except VizNodeError as error:
            self._error = error.message
            if self._silent_since is None:
                self._silent_since = begun

    def check(self) -> Check:
        """Fails once no endpoint has answered for `SILENT_SECONDS`."""
        if self._silent_since is None:
            return well("chain answers", "yes")
        seconds = self._clock() - self._silent_since
        fix = "start the chain or its endpoint, or name another one in rpc_urls; what was ordered goes on then"
        if seconds < SILENT_SECONDS:
            return warned("chain answers", self._error, fix)
        return failed("chain answers", f"not for {seconds:.0f} s: {self._error}", fix)


def vital_checks(home: Path, network: Network, chain: ChainWatch, more: Sequence[Probe] = ()) -> list[Probe]:
    """Everything without which a node cannot do its work."""
    return [lambda: check_network(network), chain.check, check_descriptors, lambda: check_disk(home), *more]


def run_checks(probes: Sequence[Probe]) -> list[Check]:
    """All of them; one that raises fails with the reason."""
    return [_run(probe) for probe in probes]


def unwell_of(probes: Sequence[Probe]) -> list[Check]:
    """Those that are not well now."""
    return [check for check in run_checks(probes) if check.state is not Health.OK]


def _run(probe: Probe) -> Check:
    try:
        return probe()
    except Exception as error:  # noqa: BLE001 - a check that breaks is a finding
        return failed("self-check", f"{type(error).__name__}: {error}", "see viz-node logs")


def check_network(network: Network) -> Check:
    """Whether the network's core runs, and can take peers."""
    trouble, addresses = network.trouble, network.addresses
    if trouble:
        return failed("peer network", trouble, "it mends itself; if it does not, see viz-node logs")
    return well("peer network", f"listens on {len(addresses)} address{'es' if len(addresses) > 1 else ''}")


def check_descriptors() -> Check:
    """How many files and connections this process may have, and has."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    fix = "raise the limit before the start: ulimit -n 4096, or LimitNOFILE= in the unit"
    try:
        used = sum(1 for _ in Path("/dev/fd").iterdir())
    except OSError as error:
        if error.errno not in (errno.EMFILE, errno.ENFILE):
            return warned("descriptors", f"cannot be counted: {error.strerror}", fix)
        used = soft
    if soft == resource.RLIM_INFINITY:
        return well("descriptors", f"{used} used, no limit")
    detail = f"{used} of {soft} used"
    if used > _MOST_USED * soft:
        return failed("descriptors", detail, f"restart the node; {fix}")
    if used > _MUCH_USED * soft or soft < FEWEST_DESCRIPTORS:
        return warned("descriptors", detail, fix)
    return well("descriptors", detail)


def check_disk(home: Path, free_at: Callable[[Path], int] = lambda place: shutil.disk_usage(place).free) -> Check:
    """Whether there is room where the home is, or will be."""
    place = home
    while not place.exists():
        place = place.parent
    free = free_at(place)
    detail = f"{free / 1024**3:.1f} GiB free" if free >= LOW_BYTES else f"{free / 1024**2:.0f} MiB free"
    if free < FULL_BYTES:
        return failed("disk space", detail, f"free at least 2 GiB on the disk of {home}")
    if free < LOW_BYTES:
        return warned("disk space", detail, f"free at least 2 GiB on the disk of {home}")
    return well("disk space", detail)
