"""HTTP whose every request has one deadline, from the connection to the last byte of the answer.

The timeouts of sockets are for one operation each: a server that sends a byte now and then, of its handshake, its
status line, its headers or its body, starts them anew. So each operation gets what is left until the deadline. That
holds in the thread that made the request, which reads the answer, too. How long the system looks up a name is the
system's affair. `tests/unit/chain/node/test_rpc.py` drips at every stage.
"""

import http.client
import io
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import certifi
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

CONNECT_SECONDS = 10.0
_MOST_CONNECTIONS = 16

_deadline: ContextVar[float] = ContextVar("_deadline")


class TimedConnections:
    """Connections that are kept for the next request; may be used from several threads."""

    def __init__(self, timeout_seconds: float) -> None:
        self._timeout_seconds = timeout_seconds
        self._pools = urllib3.PoolManager(
            maxsize=_MOST_CONNECTIONS,
            timeout=urllib3.Timeout(connect=min(CONNECT_SECONDS, timeout_seconds), read=timeout_seconds),
            ca_certs=certifi.where(),
        )
        self._pools.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}

    @contextmanager
    def post(self, url: str, content: bytes, headers: Mapping[str, str]) -> Iterator[urllib3.BaseHTTPResponse]:
        """The answer, to be read inside. Neither repeats nor follows anything. Raises: urllib3's HTTPError."""
        deadline = time.monotonic() + self._timeout_seconds
        token = _deadline.set(deadline)
        try:
            with self._pools.request(
                "POST", url, body=content, headers=headers, preload_content=False, redirect=False, retries=False
            ) as answer:
                yield answer
        except urllib3.exceptions.HTTPError as error:
            if time.monotonic() < deadline:
                raise
            late = f"it takes too long, more than {self._timeout_seconds:g} s"
            raise urllib3.exceptions.TimeoutError(late) from error
        finally:
            _deadline.reset(token)

    def close(self) -> None:
        """Close the connections; a later request opens new ones."""
        self._pools.clear()


def _seconds_left() -> float:
    """Raises: TimeoutError."""
    left = _deadline.get() - time.monotonic()
    if left <= 0:
        raise TimeoutError("timed out")
    return left


class _TimedReader(io.RawIOBase):
    """What arrives at a socket until the deadline."""

    def __init__(self, arriving: socket.socket, raw: io.RawIOBase) -> None:
        self._socket, self._raw = arriving, raw

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        self._socket.settimeout(_seconds_left())
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(http.client.HTTPResponse):
    def __init__(self, sock: socket.socket, *arguments: Any, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = io.BufferedReader(_TimedReader(sock, self.fp.detach()))


def _connected(connection: HTTPConnection, connect: Callable[[], socket.socket]) -> socket.socket:
    """A socket to the first address that answers: a name may have any number of silent ones."""
    name, failure = connection._dns_host, None
    try:
        for address in _addresses(connection, name):
            connection._dns_host, connection.timeout = address, min(CONNECT_SECONDS, _seconds_left())
            try:
                made = connect()
            except (urllib3.exceptions.NewConnectionError, urllib3.exceptions.ConnectTimeoutError) as error:
                failure = error
                continue
            made.settimeout(_seconds_left())  # for the handshake
            return made
    finally:
        connection._dns_host = name
    raise failure or urllib3.exceptions.NewConnectionError(connection, f"{name} has no address")


def _addresses(connection: HTTPConnection, name: str) -> list[str]:
    try:
        found = socket.getaddrinfo(name, connection.port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        raise urllib3.exceptions.NameResolutionError(name, connection, error) from error
    return list(dict.fromkeys(str(place[4][0]) for place in found))


class _PlainConnection(HTTPConnection):
    response_class = _TimedResponse

    def _new_conn(self) -> socket.socket:
        return _connected(self, super()._new_conn)

    def send(self, data: Any) -> None:
        if self.sock is not None:
            self.sock.settimeout(_seconds_left())
        super().send(data)


class _SecureConnection(_PlainConnection, HTTPSConnection):
    """The same over TLS."""


class _Pool(HTTPConnectionPool):
    ConnectionCls = _PlainConnection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection
