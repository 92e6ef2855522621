"""A thread that says "still here" at a steady pace, and is quiet about a beat that fails.

Flower's own heartbeat answers a refused beat with SIGINT to the whole process, which a resident trainer must survive: a
member whose coordinator was restarted simply joins again.
"""

import logging
import threading
from collections.abc import Callable
from types import TracebackType

_log = logging.getLogger(__name__)


class Heartbeat:
    """Calls `beat` at once and then every `interval_seconds` until the context ends."""

    def __init__(self, beat: Callable[[], object], interval_seconds: float) -> None:
        self._beat = beat
        self._interval_seconds = interval_seconds
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def __enter__(self) -> "Heartbeat":
        """Start."""
        self._thread.start()
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop; a beat in progress is not waited for longer than a second."""
        self._stop.set()
        self._thread.join(timeout=1.0)

    def _run(self) -> None:
        while True:
            try:
                self._beat()
            except Exception as error:  # noqa: BLE001 - the next beat, or the next request, tells whether it matters
                _log.info("a heartbeat failed: %s", error)
            if self._stop.wait(self._interval_seconds):
                return
