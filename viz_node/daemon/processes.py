"""Child processes that do the heavy work: one JSON order in, JSON events out, never left behind.

A child dies with its parent (PR_SET_PDEATHSIG), runs in its own session, and is ended by SIGTERM, then SIGKILL.
"""

import asyncio
import contextlib
import ctypes
import json
import resource
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from viz_node.daemon.logs import rotate
from viz_node.errors import TrainingError, error_from

WANTED_DESCRIPTORS = 4096
_PR_SET_PDEATHSIG = 1
_MAX_EVENT_BYTES = 8 * 1024 * 1024
# A stop of the node is promised within five seconds; a worker that is slower resumes from its last checkpoint.
_GRACE_SECONDS = 3.0
# The only orders that may go out to a model hub.
_HUB_ORDERS = frozenset({"install_base"})

Event = dict[str, Any]


def raise_descriptor_limit() -> None:
    """Take as many descriptors as the system lets this process have, up to `WANTED_DESCRIPTORS`."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = WANTED_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, WANTED_DESCRIPTORS)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        # macOS refuses more than its kernel's own limit; what is there has to do then.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def die_with_parent() -> None:
    """For `preexec_fn`: the child gets SIGTERM when its parent dies, however that happens; on Linux only.

    Elsewhere a child notices at its next event that nobody reads them.
    """
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)


class WorkerRunner:
    """Runs `python -m <module>` children with one environment, the hub's added for downloads; logs to `log_path`."""

    def __init__(
        self, environment: Mapping[str, str], log_path: Path, hub_environment: Mapping[str, str] | None = None
    ) -> None:
        self._environment = dict(environment)
        self._log_path = log_path
        self._hub_environment = dict(hub_environment or {})

    async def run(self, module: str, order: Mapping[str, Any], on_event: Callable[[Event], None]) -> Event:
        """Give the child its order and return its `done` event.

        Raises: the VizNodeError that the child names, or TrainingError when it dies without a word.
        """
        rotate(self._log_path)
        with self._log_path.open("ab") as log:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
                env=self._environment | (self._hub_environment if order.get("order") in _HUB_ORDERS else {}),
                start_new_session=True,
                preexec_fn=die_with_parent,
                limit=_MAX_EVENT_BYTES,
            )
            try:
                return await self._converse(process, module, order, on_event)
            finally:
                await _end(process)

    async def _converse(
        self,
        process: asyncio.subprocess.Process,
        module: str,
        order: Mapping[str, Any],
        on_event: Callable[[Event], None],
    ) -> Event:
        assert process.stdin is not None
        assert process.stdout is not None
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.stdin.write(json.dumps(order).encode() + b"\n")
            await process.stdin.drain()
        process.stdin.close()
        result: Event | None = None
        async for line in process.stdout:
            event = json.loads(line)
            if event.get("event") == "error":
                raise error_from(event, unknown=TrainingError)
            if event.get("event") == "done":
                result = event
            else:
                on_event(event)
        status = await process.wait()
        if result is None:
            raise TrainingError(f"{module} ended with status {status} and no result", f"read {self._log_path}")
        return result


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is not None:
        return
    with contextlib.suppress(ProcessLookupError):
        process.terminate()
    try:
        await asyncio.wait_for(process.wait(), _GRACE_SECONDS)
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
