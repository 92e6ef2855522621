"""`/metrics` stands behind the same guards as every route, and its own token opens nothing else."""

import pytest
from aiohttp import ClientSession, CookieJar
from aiohttp.test_utils import TestServer

from tests.api_node import TOKEN, hostile_operations
from viz_node.api import Scrape, Sessions, make_app

SCRAPE = "scrape-0123456789abcdef"


async def figures() -> bytes:
    return b"viz_node_ready 1\n"


@pytest.mark.asyncio
async def test_metrics__token_for_it__opens_it_alone() -> None:
    hosts: set[str] = set()
    app = make_app(
        hostile_operations(),
        Sessions(TOKEN, scrape_token=SCRAPE),
        hosts,
        list,
        Scrape(figures, "text/plain; version=0.0.4"),
    )
    async with TestServer(app) as server, ClientSession(cookie_jar=CookieJar(unsafe=True)) as http:
        host = f"127.0.0.1:{server.port}"
        hosts.add(host)

        async def status(path: str, token: str = "", **headers: str) -> int:
            headers |= {"Authorization": f"Bearer {token}"} if token else {}
            async with http.get(f"http://{host}{path}", headers=headers) as answer:
                return answer.status

        assert [await status("/metrics", token) for token in (SCRAPE, TOKEN)] == [200, 200]
        assert [await status("/metrics", token) for token in ("", "wrong", SCRAPE + "x")] == [401] * 3
        assert [await status(path, SCRAPE) for path in ("/", "/v1/operations", "/metrics/", "/fragments/node")] == [
            401
        ] * 4
        assert await status("/metrics", SCRAPE, Host="evil.example") == 421
        assert await status("/metrics", SCRAPE, Origin="http://evil.example") == 403


@pytest.mark.asyncio
async def test_metrics__not_offered__is_not_there() -> None:
    hosts: set[str] = set()
    async with (
        TestServer(make_app(hostile_operations(), Sessions(TOKEN), hosts, list)) as server,
        ClientSession() as http,
    ):
        hosts.add(f"127.0.0.1:{server.port}")
        url = f"http://127.0.0.1:{server.port}/metrics"
        for header, expected in (("Bearer None", 401), (f"Bearer {TOKEN}", 404)):
            async with http.get(url, headers={"Authorization": header}) as answer:
                assert answer.status == expected
