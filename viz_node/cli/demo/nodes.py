"""The demo's node processes: each in a home of its own, and none outlives the demo."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Self

from viz_node.cli.client import NodeClient
from viz_node.cli.follow import follow_job
from viz_node.cli.output import Output
from viz_node.errors import DeadlineError, VizNodeError
from viz_node.workers.ask import die_with_parent

_READY_SECONDS = 60.0
_STOP_SECONDS = 15.0
_POLL_SECONDS = 0.2


class DemoNode:
    """`viz-node start --dev` on a home; a context that ends the process."""

    def __init__(self, home: Path, output: Output, *options: str) -> None:
        self.home = home
        self.log = home.with_suffix(".log")
        self._output = output
        self._options = options
        self._client = NodeClient(home)

    def __enter__(self) -> Self:
        command = [sys.executable, "-m", "viz_node.cli", "--home", str(self.home), "start", "--dev", *self._options]
        with self.log.open("ab") as log:
            # A session of its own: Ctrl-C reaches the demo alone, which then ends its nodes in order.
            self._process = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                start_new_session=True,
                preexec_fn=die_with_parent,  # noqa: PLW1509 - the demo has one thread here
            )
        try:
            self._wait_until_ready()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def ask(self, operation: str, **params: Any) -> dict[str, Any]:
        """The node's answer. Raises: VizNodeError."""
        return self._client.call(operation, **params)

    def ask_list(self, operation: str, **params: Any) -> list[dict[str, Any]]:
        """The node's answer, a list of rows. Raises: VizNodeError."""
        return self._client.call_list(operation, **params)

    def finish(self, operation: str, **params: Any) -> dict[str, Any]:
        """Order a job, show how it goes, and give its result. Raises: the error that ended it."""
        return self.await_job(str(self.ask(operation, **params)["job_id"]))

    def await_job(self, job_id: str) -> dict[str, Any]:
        """The result of a job, which is shown as it goes. Raises: the error that ended it."""
        result: dict[str, Any] = follow_job(self._client, self._output, job_id)["result"]
        return result

    def until(self, operation: str, is_reached: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The first answer that is as wanted. Raises: DeadlineError."""
        deadline = time.monotonic() + _READY_SECONDS
        while not is_reached(answer := self.ask(operation)):
            if time.monotonic() > deadline:
                raise DeadlineError(f"{operation} of {self.home.name} did not get as far within {_READY_SECONDS:g} s")
            time.sleep(_POLL_SECONDS)
        return answer

    def until_found(self, name: str) -> dict[str, Any]:
        """The listing with this name, as soon as the network tells of it. Raises: DeadlineError."""
        deadline = time.monotonic() + _READY_SECONDS
        while True:
            for row in self.ask_list("search", text=name):
                if row["name"] == name:
                    return row
            if time.monotonic() > deadline:
                raise DeadlineError(f"{self.home.name} did not find {name} on the network")
            time.sleep(_POLL_SECONDS)

    def _wait_until_ready(self) -> None:
        deadline = time.monotonic() + _READY_SECONDS
        while not self._client.is_ready():
            if self._process.poll() is not None:
                lines = self.log.read_text(errors="replace").strip().splitlines()
                raise VizNodeError(f"the node {self.home.name} ended: {' '.join(lines[-2:])[:300]}")
            if time.monotonic() > deadline:
                raise DeadlineError(f"the node {self.home.name} was not ready within {_READY_SECONDS:g} s")
            time.sleep(_POLL_SECONDS)

    def _stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
