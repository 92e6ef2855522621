"""What a hostile program or web page sends to the API, as bytes on the socket: nothing gets in, nothing stalls."""

import asyncio
import gzip
import time

import pytest

from tests.api_node import BEARER, TOKEN, ApiNode, hostile_operations
from viz_node.api import routes
from viz_node.errors import UsageError

JSON = {**BEARER, "Content-Type": "application/json"}


def _request(line: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([line, *headers, "", ""]).encode() + body


@pytest.mark.parametrize(
    "line",
    [
        "GET /login/../v1/operations HTTP/1.1",
        "GET /static/../v1/operations HTTP/1.1",
        "GET /static/..%2fv1%2foperations HTTP/1.1",
        "GET /login/%2e%2e/%76%31/operations HTTP/1.1",
        "GET /%76%31/operations HTTP/1.1",
        "GET //v1/operations HTTP/1.1",
        "GET /healthz/../v1/operations HTTP/1.1",
        "GET /healthz;/v1/operations HTTP/1.1",
        "GET /v1/operations#/healthz HTTP/1.1",
        f"GET /v1/operations?token={TOKEN} HTTP/1.1",
        f"GET /?token={TOKEN}&authorization=Bearer+{TOKEN} HTTP/1.1",
    ],
)
async def test_paths__tricks_without_credentials__open_nothing(line: str) -> None:
    async with ApiNode(hostile_operations()) as node:
        assert await node.send_raw(_request(line, f"Host: {node.host}")) in (0, 400, 401, 404)


@pytest.mark.parametrize(
    "path",
    ["/static/../guard.py", "/static/..%2fguard.py", "/static/%2e%2e%2fguard.py", "/static/....//guard.py",
     "/static//etc/passwd", "/static/page.css%00.py", "/fragments/..%2fpage.html"],
)  # fmt: skip
async def test_paths__traversal_with_credentials__finds_nothing(path: str) -> None:
    async with ApiNode(hostile_operations()) as node:
        request = _request(f"GET {path} HTTP/1.1", f"Host: {node.host}", f"Authorization: Bearer {TOKEN}")
        assert await node.send_raw(request) in (0, 400, 404)


@pytest.mark.parametrize(
    "hosts",
    [
        ["Host: {own}", "Host: evil.example"],
        ["Host: evil.example", "Host: {own}"],
        ["Host: {own}, evil.example"],
        ["Host: {own}.evil.example"],
        ["Host: evil.example@{own}"],
        ["Host:"],
        [],
        ["Host: evil.example", "X-Forwarded-Host: {own}", "Forwarded: host={own}"],
    ],
)
async def test_host__rebinding_tricks__are_refused(hosts: list[str]) -> None:
    async with ApiNode(hostile_operations()) as node:
        named = [host.format(own=node.host) for host in hosts]
        request = _request("GET /v1/operations HTTP/1.1", *named, f"Authorization: Bearer {TOKEN}")
        assert await node.send_raw(request) in (0, 400, 421)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "CONNECT", "get", "X"])
async def test_methods__any_but_post__call_nothing(method: str) -> None:
    called: list[int] = []

    async def add(left: int) -> dict[str, int]:
        called.append(left)
        return {}

    async with ApiNode({"add": add}) as node:
        body = b'{"left":1}'
        request = _request(
            f"{method} /v1/call/add HTTP/1.1", f"Host: {node.host}", f"Authorization: Bearer {TOKEN}",
            "Content-Type: application/json", f"Content-Length: {len(body)}",
            "X-HTTP-Method-Override: POST", "X-Method-Override: POST", body=body,
        )  # fmt: skip
        assert await node.send_raw(request) in (0, 400, 404, 405, 415)
        assert called == []
        assert (await node.call("add", {"left": 2})).status == 200
        assert called == [2]


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 100_000,
        b'{"left":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"left":' + b"9" * 500_000 + b"}",
        b'{"left":1e999999}',
        b'{"left":1,"left":2}',
        b'{"left":NaN}',
        b'{"left":"\xff\xfe"}',
        b'{"left":1}{"left":1}',
        b"",
    ],
)
async def test_json__bombs_and_doubtful_texts__are_refused_at_once(body: bytes) -> None:
    async with ApiNode(hostile_operations()) as node:
        begun = time.process_time()  # server and client are this process; others on the machine do not count
        response = await node.ask("POST", "/v1/call/add", data=body, headers=JSON)
        assert response.status == 422
        assert time.process_time() - begun < 2
        assert (await node.call("add", {"left": 1})).status == 200


async def test_body__compressed_bomb__is_refused() -> None:
    async with ApiNode(hostile_operations()) as node:
        bomb = gzip.compress(b" " * 64 * 1024 * 1024)
        headers = {**JSON, "Content-Encoding": "gzip"}
        response = await node.ask("POST", "/v1/call/add", data=bomb, headers=headers)
        assert response.status in (400, 413)


async def test_body__two_lengths__is_refused() -> None:
    async with ApiNode(hostile_operations()) as node:
        request = _request(
            "POST /v1/call/add HTTP/1.1", f"Host: {node.host}", f"Authorization: Bearer {TOKEN}",
            "Content-Type: application/json", "Content-Length: 4", "Transfer-Encoding: chunked", body=b"0\r\n\r\n",
        )  # fmt: skip
        assert await node.send_raw(request) == 400


async def test_body__that_never_ends__is_dropped_after_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "BODY_SECONDS", 0.2)
    async with ApiNode(hostile_operations()) as node:
        request = _request(
            "POST /v1/call/add HTTP/1.1", f"Host: {node.host}", f"Authorization: Bearer {TOKEN}",
            "Content-Type: application/json", "Content-Length: 100", body=b'{"left"',
        )  # fmt: skip
        assert await node.send_raw(request) == 408


async def test_connections__two_hundred_that_stall__keep_nobody_out() -> None:
    async with ApiNode(hostile_operations()) as node:
        stalled = [await asyncio.open_connection("127.0.0.1", node.server.port) for _ in range(200)]
        try:
            for _, writer in stalled:
                writer.write(f"GET / HTTP/1.1\r\nHost: {node.host}\r\nX-Slow: ".encode())
            response = await asyncio.wait_for(node.call("add", {"left": 1}), 5)
            assert response.status == 200
        finally:
            for _, writer in stalled:
                writer.close()


async def test_login__guesses_and_replays__open_nothing() -> None:
    async with ApiNode(hostile_operations()) as node:
        path = node.sessions.login_path()
        for guess in (path[:-1], path + "x", path.upper(), "/login/", path + "/", path.replace("/login", "/login/")):
            assert (await node.ask("GET", guess)).status in (401, 404), guess
        assert (await node.ask("GET", path, headers={"Sec-Fetch-Site": "cross-site"})).status == 403
        answers = await asyncio.gather(*(node.ask("GET", path) for _ in range(20)))
        assert sorted(answer.status for answer in answers) == [303] + [401] * 19
        assert TOKEN not in str([answer.headers for answer in answers])


async def test_answers__records_with_half_characters_and_nan__are_sent_all_the_same() -> None:
    async def content_list() -> list[dict[str, object]]:
        return [{"work_id": "ab" * 32, "title": "gr\udcfcn", "author": "a", "size_bytes": float("nan"), "\ud800": 1}]

    async def refuse() -> None:
        raise UsageError("no \udcfc", "see \ud800")

    async with ApiNode({**hostile_operations(), "content_list": content_list, "refuse": refuse}) as node:
        (row,) = await (await node.call("content_list", {})).json()
        assert (row["title"], row["size_bytes"], row["\ufffd"]) == ("gr\ufffdn", None, 1)
        assert (await (await node.call("refuse", {})).json())["message"] == "no \ufffd"
        page = await node.ask("GET", "/fragments/works", headers=BEARER)
        assert page.status == 200
        assert "gr\ufffdn" in await page.text()
