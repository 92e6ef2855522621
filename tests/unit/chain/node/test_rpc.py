"""The HTTP side of an endpoint that is slow, endless, or wrong; a real server on loopback."""

import base64
import gzip
import json
import socket
import socketserver
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import chain, repeat
from typing import Any

import pytest

from viz_node.chain.node import rpc as rpc_module
from viz_node.chain.node.logs import ToldLog
from viz_node.chain.node.rpc import JsonRpc, RpcRefusedError
from viz_node.errors import ChainUnavailableError

ANSWER = b'{"jsonrpc":"2.0","id":1,"result":"0x1"}'
"""The answer to the first question."""
Reply = Callable[[BaseHTTPRequestHandler], None]


def send(handler: BaseHTTPRequestHandler, body: bytes, status: int = 200, **headers: str) -> None:
    handler.send_response(status)
    for name, value in ({"content-length": str(len(body))} | headers).items():
        handler.send_header(name.replace("_", "-"), value)
    handler.end_headers()
    handler.wfile.write(body)


def tell_one(handler: Any) -> None:
    """The answer to the question that was asked."""
    send(handler, b'{"jsonrpc":"2.0","id":%d,"result":"0x1"}' % json.loads(handler.asked)["id"])


@contextmanager
def endpoint(reply: Reply) -> Iterator[str]:
    """The address of a server that answers every POST with `reply`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            self.asked = self.rfile.read(int(self.headers["content-length"]))
            reply(self)

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()


def test_call__compressed_answer__is_read() -> None:
    with endpoint(lambda to: send(to, gzip.compress(ANSWER), content_encoding="gzip")) as url:
        assert JsonRpc(url).call("eth_chainId") == "0x1"


def test_call__connection_that_the_server_dropped__connects_again() -> None:
    dropped = threading.Event()

    def reply(to: BaseHTTPRequestHandler) -> None:
        tell_one(to)
        to.connection.shutdown(socket.SHUT_RDWR)
        to.close_connection = True
        dropped.set()

    with endpoint(reply) as url:
        rpc = JsonRpc(url)
        for _ in range(3):
            dropped.clear()
            assert rpc.call("eth_chainId") == "0x1"
            assert dropped.wait(10)


def test_call__answer_that_unpacks_to_too_much__is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rpc_module, "MAX_ANSWER_BYTES", 1_000_000)
    bomb = gzip.compress(b" " * 2_000_000)
    with endpoint(lambda to: send(to, bomb, content_encoding="gzip")) as url, pytest.raises(RpcRefusedError) as refusal:
        JsonRpc(url).call("eth_getLogs")
    assert refusal.value.code == 413


@contextmanager
def dripping(*beginning: bytes, drops: Iterable[bytes] = (), name: str = "127.0.0.1") -> Iterator[str]:
    """The address of a server that begins each answer, whatever it is asked, and goes on drop by drop."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            with suppress(OSError):
                for part in beginning:
                    self.request.sendall(part)
                for drop in drops:
                    self.request.sendall(drop)
                    time.sleep(0.02)

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads, block_on_close = True, False

    with Server(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://{name}:{server.server_address[1]}"
        server.shutdown()


STATUS = b"HTTP/1.1 200 OK\r\n"
DRIPS = {
    "status line": ((), repeat(b"H")),
    "reason": ((STATUS[:-2],), repeat(b"!")),
    "provisional answers": ((), repeat(b"HTTP/1.1 100 Continue\r\n\r\n")),
    "name of a header": ((STATUS,), repeat(b"x")),
    "headers": ((STATUS,), repeat(b"x: y\r\n")),
    "body of a known length": ((STATUS, b"content-length: 100000\r\n\r\n"), repeat(b" ")),
    "body until the end": ((STATUS, b"connection: close\r\n\r\n"), repeat(b" ")),
    "chunks": ((STATUS, b"transfer-encoding: chunked\r\n\r\n"), repeat(b"1\r\n \r\n")),
    "size of a chunk": ((STATUS, b"transfer-encoding: chunked\r\n\r\n"), repeat(b"0")),
    "trailers": ((STATUS, b"transfer-encoding: chunked\r\n\r\n1\r\n1\r\n0\r\n"), repeat(b"x: y\r\n")),
    "nothing": ((), (b"" for _ in repeat(0))),
}


@pytest.mark.parametrize("place", DRIPS)
def test_call__answer_byte_by_byte__is_given_up_in_time(place: str) -> None:
    beginning, drops = DRIPS[place]
    began = time.monotonic()
    with dripping(*beginning, drops=drops) as url, pytest.raises(ChainUnavailableError, match="too long, more than"):
        JsonRpc(url, timeout_seconds=0.3).call("eth_getLogs")
    assert 0.25 < time.monotonic() - began < 1


def test_call__handshake_byte_by_byte__is_given_up_in_time() -> None:
    began = time.monotonic()
    hello = chain([b"\x16\x03\x03\x40\x00"], repeat(b"\x02"))
    with dripping(drops=hello) as url, pytest.raises(ChainUnavailableError, match="too long, more than"):
        JsonRpc(url.replace("http", "https"), timeout_seconds=0.3).call("eth_chainId")
    assert 0.25 < time.monotonic() - began < 1


def test_call__name_with_many_silent_addresses__is_given_up_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    def look_up(host: str, port: int, *_: object, **__: object) -> list[Any]:
        names = [f"127.0.0.{number}" for number in range(1, 99)] if host == "many.example" else [host]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (name, port)) for name in names]

    with socket.create_server(("0.0.0.0", 0), backlog=0) as full, ExitStack() as waiting:
        port = full.getsockname()[1]
        for _ in range(4):  # more than wait to be accepted: nobody hears of those who connect now
            client = waiting.enter_context(socket.socket())
            client.setblocking(False)
            client.connect_ex(("127.0.0.1", port))
        monkeypatch.setattr(socket, "getaddrinfo", look_up)
        began = time.monotonic()
        with pytest.raises(ChainUnavailableError, match="too long, more than"):
            JsonRpc(f"http://many.example:{port}", timeout_seconds=0.3).call("eth_chainId")
        assert 0.25 < time.monotonic() - began < 1


def test_call__slow_answer_in_time__is_read_and_the_connection_is_used_again() -> None:
    peers = []

    def reply(to: BaseHTTPRequestHandler) -> None:
        peers.append(to.client_address)
        time.sleep(0.2)
        tell_one(to)

    with endpoint(reply) as url:
        rpc = JsonRpc(url, timeout_seconds=0.5)
        assert [rpc.call("eth_chainId") for _ in range(4)] == ["0x1"] * 4
    assert len(set(peers)) == 1


@pytest.mark.parametrize("status", [413, 429, 500, 503])
def test_call__status_that_asks_for_less__is_a_refusal(status: int) -> None:
    with endpoint(lambda to: send(to, b"{}", status)) as url, pytest.raises(RpcRefusedError) as refusal:
        JsonRpc(url).call("eth_getLogs")
    assert refusal.value.code == status


def test_call__name_and_password_in_the_address__are_sent_as_a_header() -> None:
    told = []

    def reply(to: BaseHTTPRequestHandler) -> None:
        told.append((to.path, to.headers["host"], to.headers["authorization"]))
        send(to, ANSWER)

    with endpoint(reply) as url:
        host = url.removeprefix("http://")
        JsonRpc(f"http://me:p%40ss@{host}/v1?key=2").call("eth_chainId")
    assert told == [("/v1?key=2", host, "Basic " + base64.b64encode(b"me:p@ss").decode())]


def test_call__redirect__is_not_followed() -> None:
    asked = []

    def reply(to: BaseHTTPRequestHandler) -> None:
        asked.append(to.path)
        send(to, b"", 307, location="/elsewhere")

    with endpoint(reply) as url, pytest.raises(ChainUnavailableError):
        JsonRpc(url).call("eth_chainId")
    assert asked == ["/"]


def test_call__answer_cut_short__is_no_answer() -> None:
    def reply(to: BaseHTTPRequestHandler) -> None:
        send(to, ANSWER, content_length="1000")
        to.close_connection = True

    with endpoint(reply) as url, pytest.raises(ChainUnavailableError, match="does not answer"):
        JsonRpc(url).call("eth_chainId")


MALFORMED = {
    "no JSON": b"<html>",
    "nothing": b"",
    "cut": b'{"result":"0x',
    "a list": b"[]",
    "neither result nor error": b'{"jsonrpc":"2.0","id":1}',
    "nested without end": b'{"result":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "half a character": b'{"result":"\\ud800"}',
    "no UTF-8": b'{"result":"\xff"}',
    "no number": b'{"result":1e999}',
}


@pytest.mark.parametrize("answer", MALFORMED.values(), ids=MALFORMED)
def test_call__malformed_answer__says_so(answer: bytes) -> None:
    with endpoint(lambda to: send(to, answer)) as url:
        for ask in (lambda rpc: rpc.call("eth_chainId"), lambda rpc: rpc.batch([("eth_chainId", [])])):
            with pytest.raises(ChainUnavailableError, match="malformed"):
                ask(JsonRpc(url))


@pytest.mark.parametrize("result", [b'"0x1"', b"{}", b"[null]", b'[{"address":"0x1"}]', b"[[]]"])
def test_call__result_of_another_shape__says_so(result: bytes) -> None:
    with (
        endpoint(lambda to: send(to, b'{"id":1,"result":' + result + b"}")) as url,
        pytest.raises(ChainUnavailableError, match="eth_getLogs is malformed"),
    ):
        JsonRpc(url).call("eth_getLogs", shape=list[ToldLog])


FOREIGN = {
    "of another question": b'{"id":2,"result":"0x1"}',
    "of no question": b'{"result":"0x1"}',
    "id of null": b'{"id":null,"result":"0x1"}',
    "id as text": b'{"id":"1","result":"0x1"}',
    "id as a fraction": b'{"id":1.5,"result":"0x1"}',
    "id that is true": b'{"id":true,"result":"0x1"}',
    "a refusal of another question": b'{"id":2,"error":{"code":3,"message":"execution reverted"}}',
    "two results": b'{"id":1,"result":"0x1","result":"0x2"}',
    "two equal results": b'{"id":1,"result":"0x1","result":"0x1"}',
    "two results, one spelt with an escape": b'{"id":1,"result":"0x1","\\u0072esult":"0x2"}',
    "two ids": b'{"id":2,"result":"0x1","id":1}',
    "two errors": b'{"id":1,"error":{"code":3,"message":"reverted"},"error":null,"result":"0x1"}',
    "something else twice": b'{"id":1,"more":1,"result":"0x1","more":2}',
}


@pytest.mark.parametrize("answer", FOREIGN.values(), ids=FOREIGN)
def test_call__answer_to_another_question_or_with_a_key_twice__is_refused(answer: bytes) -> None:
    with endpoint(lambda to: send(to, answer)) as url, pytest.raises(ChainUnavailableError, match="malformed"):
        JsonRpc(url).call("eth_chainId")


def test_call__late_answer_on_the_same_connection__is_not_the_next_ones() -> None:
    with endpoint(lambda to: send(to, ANSWER)) as url:
        rpc = JsonRpc(url)
        assert rpc.call("eth_chainId") == "0x1"
        with pytest.raises(ChainUnavailableError, match="another question"):
            rpc.call("eth_blockNumber")


def test_call__refusal_of_what_the_endpoint_could_not_read__has_no_id() -> None:
    body = b'{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error"}}'
    with endpoint(lambda to: send(to, body)) as url, pytest.raises(RpcRefusedError, match="parse error"):
        JsonRpc(url).call("eth_chainId")


def test_batch__answers_in_any_order__are_those_of_their_questions() -> None:
    body = b'[{"id":2,"result":"0xb"},{"id":1,"result":"0xa"}]'
    with endpoint(lambda to: send(to, body)) as url:
        assert JsonRpc(url).batch([("eth_chainId", []), ("eth_blockNumber", [])]) == ["0xa", "0xb"]


FOREIGN_BATCHES = {
    "an answer twice": b'[{"id":1,"result":"0xa"},{"id":2,"result":"0xb"},{"id":2,"result":"0xc"}]',
    "an equal answer twice": b'[{"id":1,"result":"0xa"},{"id":2,"result":"0xb"},{"id":2,"result":"0xb"}]',
    "an answer missing": b'[{"id":1,"result":"0xa"}]',
    "an answer to another question": b'[{"id":1,"result":"0xa"},{"id":3,"result":"0xb"}]',
    "an answer too many": b'[{"id":1,"result":"0xa"},{"id":2,"result":"0xb"},{"id":3,"result":"0xc"}]',
    "a key twice": b'[{"id":1,"result":"0xa"},{"id":2,"result":"0xb","result":"0xc"}]',
    "one answer for all": b'{"id":1,"result":"0xa"}',
    "ids that are true": b'[{"id":true,"result":"0xa"},{"id":2,"result":"0xb"}]',
}


@pytest.mark.parametrize("answer", FOREIGN_BATCHES.values(), ids=FOREIGN_BATCHES)
def test_batch__foreign_or_doubled_answers__are_refused(answer: bytes) -> None:
    with endpoint(lambda to: send(to, answer)) as url, pytest.raises(ChainUnavailableError, match="malformed"):
        JsonRpc(url).batch([("eth_chainId", []), ("eth_blockNumber", [])])


def test_call__error_beside_an_empty_result__is_the_chains_refusal() -> None:
    body = b'{"result":null,"error":{"code":-32005,"message":"too many results"}}'
    with endpoint(lambda to: send(to, body)) as url, pytest.raises(RpcRefusedError, match="too many") as refusal:
        JsonRpc(url).call("eth_getLogs", shape=list[ToldLog])
    assert refusal.value.code == -32005


@pytest.mark.parametrize(
    "url", ["", "127.0.0.1:8545", "ftp://127.0.0.1", "http://", "http://[::1", "http://a b", "http://a:99999"]
)
def test_call__no_address__says_so(url: str) -> None:
    with pytest.raises(ChainUnavailableError):
        JsonRpc(url).call("eth_chainId")


def test_call__nobody_answers__error_without_the_secrets_of_the_address() -> None:
    with pytest.raises(ChainUnavailableError, match=r"http://127\.0\.0\.1:1 does not answer") as error:
        JsonRpc("http://me:password@127.0.0.1:1/v2/api-key?token=secret").call("eth_chainId")
    assert not any(part in str(error.value) for part in ("password", "api-key", "secret"))
