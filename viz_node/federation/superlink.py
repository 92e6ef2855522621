"""A Flower SuperLink inside this process: one private listener, and one door for peers that serves the Fleet API only.

Flower 1.41 puts its Fleet, Control and Runtime APIs on one port, and Control starts runs without authentication; so the
listener with everything stays on loopback under a port that nobody is told, and peers get `FleetDoor`. All internal
modules of Flower that the coordinator needs are imported here; `test_federation_rounds` is their contract test.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import uvicorn
from flwr.app import Message
from flwr.common.constant import NOOP_FLWR_AID, SubStatus
from flwr.common.serde import run_from_proto
from flwr.proto.runtime_pb2 import PullTaskInputRequest, PushTaskOutputRequest, SendTaskHeartbeatRequest
from flwr.supercore.constant import NOOP_FEDERATION_ID, TaskType
from flwr.supercore.fab import Fab
from flwr.supercore.task_identity import TaskIdentity
from flwr.superlink.auth_plugin import NoOpControlAuthnPlugin
from flwr.superlink.cli.flower_superlink import SuperLinkLifespan
from flwr.superlink.config_loader import SuperLinkLifespanConfig
from flwr.superlink.grid import HttpGrid
from flwr.superlink.main import create_app

from viz_node.errors import LockedError, UnreachableError
from viz_node.federation.heartbeat import Heartbeat
from viz_node.federation.messages import STUB_BUNDLE, STUB_DIGEST

_LOOPBACK = "127.0.0.1"
_REQUEST_LIMIT_BYTES = 16 << 20
"""Flower splits arrays into objects of 5 MiB; nothing larger than a few of them is ever sent at once."""

_TASK_HEARTBEAT_SECONDS = 2.0
_REPLY_POLL_SECONDS = 0.1
_START_SECONDS = 30.0


class FleetDoor:
    """ASGI gate: 404 for every path outside the Fleet API, 413 for a body above the limit."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Serve one request."""
        if scope["type"] != "http" or not scope["path"].startswith("/v1/fleet/") or ".." in scope["path"]:
            await _refuse(scope, send, 404)
            return
        length = dict(scope["headers"]).get(b"content-length", b"")
        if not length.isdigit() or int(length) > _REQUEST_LIMIT_BYTES:
            await _refuse(scope, send, 413)
            return
        await self._app(scope, receive, send)


async def _refuse(scope: Any, send: Any, status: int) -> None:
    if scope["type"] != "http":
        return
    await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


class _ThreadServer(uvicorn.Server):
    """Runs in a thread, so it leaves the process's signals alone."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class EmbeddedGrid(HttpGrid):
    """Flower's Grid with a short poll that stops waiting for stragglers once enough members have replied."""

    def __init__(self, address: str, token: str, enough: int, patience_seconds: float) -> None:
        super().__init__(address, insecure=True, token=token)
        self.enough = enough
        self.patience_seconds = patience_seconds
        self.on_wait: Callable[[], None] = lambda: None

    def send_and_receive(self, messages: Iterable[Message], *, timeout: float | None = None) -> list[Message]:
        """All replies, or those that came by `timeout`, or by `patience_seconds` when they are `enough`."""
        waiting = set(self.push_messages(list(messages)))
        replies: list[Message] = []
        started = time.monotonic()
        while waiting:
            new = list(self.pull_messages(waiting))
            replies += new
            waiting -= {message.metadata.reply_to_message_id for message in new}
            seconds = time.monotonic() - started
            good = sum(not message.has_error() for message in replies)
            if not waiting or (timeout is not None and seconds > timeout):
                break
            if good >= self.enough and seconds > self.patience_seconds:
                break
            self.on_wait()
            time.sleep(_REPLY_POLL_SECONDS)
        return replies


class SuperLink:
    """The embedded server; use as a context manager."""

    def __init__(self, fleet_port: int = 0, database: Path | None = None) -> None:
        """Choose ports (0 = any free one). `database` is Flower's own state; it starts empty each time.

        What lasts is the coordinator's checkpoint: Flower does not resume the run of a server that was killed.
        """
        if database is not None:
            for name in (database.name, f"{database.name}-wal", f"{database.name}-shm"):
                database.with_name(name).unlink(missing_ok=True)
        self._sockets = (_listen(0), _listen(fleet_port))
        self._port, self.fleet_port = (sock.getsockname()[1] for sock in self._sockets)
        app = create_app(_superlink_config(self._port, database), SuperLinkLifespan)
        self._state_factory = app.state.linkstate_factory
        self._servers = (_server(app, lifespan="on"), _server(FleetDoor(app), lifespan="off"))
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "SuperLink":
        """Start both listeners. Raises: UnreachableError when they do not come up."""
        for server, sock in zip(self._servers, self._sockets, strict=True):
            thread = threading.Thread(target=server.run, args=([sock],), name="superlink", daemon=True)
            thread.start()
            self._threads.append(thread)
            limit = time.monotonic() + _START_SECONDS
            while not server.started:
                if not thread.is_alive() or time.monotonic() > limit:
                    raise UnreachableError("the federation server did not start", "see its log, then start again")
                time.sleep(0.02)
        return self

    def __exit__(self, *exc_info: object) -> None:
        """Stop both listeners."""
        for server in self._servers:
            server.should_exit = True
        for thread in self._threads:
            thread.join(timeout=3.0)

    @contextlib.contextmanager
    def open_run(self, enough: int, patience_seconds: float) -> Iterator[EmbeddedGrid]:
        """A new Flower run under the stub bundle and the grid that speaks for it."""
        state = self._state_factory.state()
        state.store_fab(Fab(STUB_DIGEST, STUB_BUNDLE, {}))
        flower_run = state.create_run(
            "viz-node/federation",
            "1.0.0",
            STUB_DIGEST,
            {},
            NOOP_FEDERATION_ID,
            None,
            NOOP_FLWR_AID,
            TaskType.SERVER_APP,
        )
        run = state.get_run_info(run_ids=[flower_run])[0]
        # The claim lapses within seconds without a heartbeat, so nothing slow stands between the two.
        token = state.claim_task(run.primary_task_id)
        grid = EmbeddedGrid(f"{_LOOPBACK}:{self._port}", token, enough, patience_seconds)
        client = grid._runtime_client
        sub_status = SubStatus.FAILED
        with Heartbeat(lambda: client.SendTaskHeartbeat(SendTaskHeartbeatRequest()), _TASK_HEARTBEAT_SECONDS):
            task = client.PullTaskInput(PullTaskInputRequest())
            TaskIdentity.task_id = task.task_id
            TaskIdentity.run_id = task.run.run_id
            TaskIdentity.node_id = task.context.node_id
            grid.set_run(run_from_proto(task.run))
            try:
                yield grid
                sub_status = SubStatus.COMPLETED
            finally:
                client.PushTaskOutput(PushTaskOutputRequest(sub_status=sub_status, details=""))
                grid.close()


def _listen(port: int) -> socket.socket:
    sock = socket.socket()
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((_LOOPBACK, port))
    except OSError as error:
        sock.close()
        raise LockedError(f"port {port} is taken: {error}", "choose another port, or 0 for any free one") from error
    return sock


def _server(app: Any, lifespan: str) -> _ThreadServer:
    return _ThreadServer(uvicorn.Config(app, log_level="error", access_log=False, lifespan=lifespan))


def _superlink_config(port: int, database: Path | None) -> SuperLinkLifespanConfig:
    return SuperLinkLifespanConfig(
        control_address="",
        health_server_address=None,
        host=_LOOPBACK,
        port=port,
        insecure=True,
        certificates=None,
        superexec_auth_secret=None,
        authn_plugin=NoOpControlAuthnPlugin(),
        event_log_plugin=None,
        fleet_event_log_plugin=None,
        enable_event_log=False,
        artifact_provider=None,
        enable_supernode_auth=False,
        fleet_api_type="grpc-rere",
        fleet_api_address=None,
        simulation=False,
        ssl_ca_certfile=None,
        ssl_certfile=None,
        ssl_keyfile=None,
        database=":flwr-in-memory:" if database is None else str(database),
        isolation="process",
        runtime_dependency_install=False,
    )
