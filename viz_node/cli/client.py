"""Calls to the node's local API over loopback, with its home's token; a node's error is raised as its class."""

import http.client
import json
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from shlex import quote
from typing import Any, TypeVar
from urllib.parse import urlsplit

from viz_node.errors import DeadlineError, NodeNotRunningError, StorageError, VizNodeError, error_from
from viz_node.storage.home import flags_of_last_start

CALL_TIMEOUT_SECONDS = 600.0
PROBE_TIMEOUT_SECONDS = 2.0
SOON_SECONDS = 30.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_RECORD_BYTES = 1024 * 1024
Heard = TypeVar("Heard")
LOOPBACK = ("127.0.0.1", "::1", "localhost")


class NodeClient:
    """The node that runs on `home`; every method raises NodeNotRunningError when none does."""

    def __init__(self, home: Path) -> None:
        self._home = home

    def call(self, operation: str, **params: Any) -> dict[str, Any]:
        """The operation's answer, an object. Raises: the node's own error."""
        answer = self._request("POST", f"/v1/call/{operation}", params, CALL_TIMEOUT_SECONDS)
        if not isinstance(answer, dict):
            raise VizNodeError(f"the node's answer to {operation} is not an object")
        return answer

    def call_list(self, operation: str, **params: Any) -> list[dict[str, Any]]:
        """The operation's answer, a list of rows. Raises: the node's own error."""
        answer = self._request("POST", f"/v1/call/{operation}", params, CALL_TIMEOUT_SECONDS)
        if not isinstance(answer, list):
            raise VizNodeError(f"the node's answer to {operation} is not a list")
        return answer

    def stream(self, operation: str, **params: Any) -> Generator[dict[str, Any], None, None]:
        """The operation's records as they come. Raises: the node's own error."""
        path = f"/v1/call/{operation}"
        with self._response("POST", path, params, CALL_TIMEOUT_SECONDS) as response:
            if response.status >= 400:
                _answer_from(response.status, response.read(MAX_ANSWER_BYTES))
            while line := self._heard(path, lambda: response.readline(MAX_RECORD_BYTES)):
                yield _record_from(operation, line)

    def ask_soon(self, operation: str) -> list[dict[str, Any]]:
        """Rows of an operation that answers soon. Raises: DeadlineError (the node hangs), the node's own error."""
        answer = self._request("POST", f"/v1/call/{operation}", {}, SOON_SECONDS)
        return answer if isinstance(answer, list) else []

    def is_ready(self) -> bool:
        """Whether the node answers and every part of it is up; never raises for a node that is down."""
        try:
            self._request("GET", "/readyz", None, PROBE_TIMEOUT_SECONDS)
        except VizNodeError:
            return False
        return True

    def _endpoint(self) -> tuple[str, int, str]:
        path = self._home / "api.json"
        try:
            body = json.loads(path.read_text())
            parts = urlsplit(body["url"])
            host, port, token = parts.hostname, parts.port, body["token"]
        except FileNotFoundError as error:
            raise self._not_running() from error
        except OSError as error:
            raise StorageError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise StorageError(f"{path} is damaged", "restart the node: viz-node start") from error
        if host not in LOOPBACK or port is None or not isinstance(token, str):
            raise StorageError(f"{path} does not name a loopback address", "restart the node: viz-node start")
        return host, port, token

    def _request(self, method: str, path: str, params: dict[str, Any] | None, timeout_seconds: float) -> Any:
        with self._response(method, path, params, timeout_seconds) as response:
            raw = self._heard(path, lambda: response.read(MAX_ANSWER_BYTES))
        return _answer_from(response.status, raw)

    @contextmanager
    def _response(
        self, method: str, path: str, params: dict[str, Any] | None, timeout_seconds: float
    ) -> Iterator[http.client.HTTPResponse]:
        host, port, token = self._endpoint()
        connection = http.client.HTTPConnection(host, port, timeout=timeout_seconds)
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        body = None if params is None else json.dumps(params).encode()

        def asked() -> http.client.HTTPResponse:
            connection.request(method, path, body=body, headers=headers)
            return connection.getresponse()

        try:
            yield self._heard(path, asked)
        finally:
            connection.close()

    def _heard(self, path: str, hear: Callable[[], Heard]) -> Heard:
        try:
            return hear()
        except TimeoutError as error:
            raise DeadlineError(f"the node did not answer {path} in time", "viz-node status") from error
        except (OSError, http.client.HTTPException) as error:
            raise self._not_running() from error

    def _not_running(self) -> NodeNotRunningError:
        return NodeNotRunningError(
            f"no node is running on {self._home}",
            f"start one: viz-node --home {quote(str(self._home))} start{flags_of_last_start(self._home)}",
        )


def _record_from(operation: str, line: bytes) -> dict[str, Any]:
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        record = None
    if not isinstance(record, dict) or not line.endswith(b"\n"):
        raise VizNodeError(f"the node's answer to {operation} is malformed", "viz-node status")
    return record


def _answer_from(status: int, raw: bytes) -> Any:
    try:
        answer = json.loads(raw) if raw else {}
    except ValueError as error:
        if status < 400:
            # Probes such as /readyz answer with plain text.
            return {}
        raise VizNodeError(f"the node answered with status {status} and no reason") from error
    if status < 400:
        return answer
    if not isinstance(answer, dict):
        raise VizNodeError(f"the node answered with status {status} and no reason")
    raise error_from(answer)
