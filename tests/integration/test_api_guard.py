"""A real aiohttp server on loopback: who gets in, what errors look like, and that strangers' names stay text."""

import re
from typing import Any

import pytest

from tests.api_node import BEARER, PANELS, TOKEN, XSS, ApiNode, hostile_operations
from viz_node.errors import ChainUnavailableError

ROUTES = ("/", "/fragments/node", "/fragments/nope", "/v1/call/add", "/v1/call/nope", "/v1/operations", "/v1/login",
          "/healthz", "/readyz", "/static/page.css", "/login/x", "/nope", "/v1/../")  # fmt: skip
METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS")
OPEN = ("/healthz", "/readyz", "/static/page.css", "/login/x")
ATTACKS: dict[str, tuple[dict[str, str], int]] = {
    "bad host": ({"Host": "evil.example"}, 421),
    "host with other port": ({"Host": "127.0.0.1:1"}, 421),
    "host without port": ({"Host": "127.0.0.1"}, 421),
    "cross-site": ({"Sec-Fetch-Site": "cross-site"}, 403),
    "same-site, other port": ({"Sec-Fetch-Site": "same-site"}, 403),
    "foreign origin": ({"Origin": "http://evil.example"}, 403),
    "opaque origin": ({"Origin": "null"}, 403),
    "malformed origin": ({"Origin": "http://[::1"}, 403),
}
STRANGERS: dict[str, dict[str, str]] = {
    "no token": {},
    "wrong token": {"Authorization": "Bearer wrong"},
    "basic": {"Authorization": f"Basic {TOKEN}"},
    "wrong cookie": {"Cookie": "viz-session=wrong"},
    "token as cookie": {"Cookie": f"viz-session={TOKEN}"},
}


@pytest.mark.asyncio
@pytest.mark.parametrize("attack", ATTACKS)
async def test_guard__foreign_request_with_the_right_token__is_refused_on_every_route(attack: str) -> None:
    headers, expected = ATTACKS[attack]
    async with ApiNode(hostile_operations()) as node:
        for method in METHODS:
            for route in ROUTES:
                response = await node.ask(method, route, headers={**BEARER, **headers})
                assert response.status == expected, (method, route)


@pytest.mark.asyncio
@pytest.mark.parametrize("stranger", STRANGERS)
async def test_guard__no_credentials__are_refused_on_every_route(stranger: str) -> None:
    async with ApiNode(hostile_operations()) as node:
        for method in METHODS:
            for route in set(ROUTES) - set(OPEN):
                response = await node.ask(method, route, headers=STRANGERS[stranger])
                assert response.status == 401, (method, route)


@pytest.mark.asyncio
@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_guard__body_that_a_form_can_send__is_refused(content_type: str) -> None:
    async with ApiNode(hostile_operations()) as node:
        for route in ROUTES:
            headers = {**BEARER, "Content-Type": content_type}
            response = await node.ask("POST", route, data=b'{"left":1}', headers=headers)
            assert response.status == 415, route


@pytest.mark.asyncio
async def test_guard__every_answer__carries_the_page_policy() -> None:
    async with ApiNode(hostile_operations()) as node:
        for route in ROUTES:
            for headers in ({}, BEARER, {"Host": "evil.example"}):
                answer = (await node.ask("GET", route, headers=headers)).headers
                policy = answer["Content-Security-Policy"]
                assert "default-src 'none'" in policy
                assert "frame-ancestors 'none'" in policy
                assert "unsafe" not in policy
                assert answer["X-Content-Type-Options"] == "nosniff"
                assert not [name for name in answer if name.lower().startswith("access-control-")]


@pytest.mark.asyncio
async def test_call__right_request__answers_and_binds_strictly() -> None:
    async with ApiNode(hostile_operations()) as node:
        response = await node.call("add", {"left": 2})
        assert (response.status, await response.json()) == (200, {"sum": 3})
        refused: list[Any] = [{}, {"left": "2"}, {"left": 2, "more": 1}, [], "x", None]
        for body in refused:
            response = await node.call("add", body)
            assert response.status == 422
            assert (await response.json())["error"] == "UsageError"
        own_page = {**BEARER, "Origin": f"http://{node.host}", "Sec-Fetch-Site": "same-origin"}
        response = await node.ask("POST", "/v1/call/add", json={"left": 1}, headers=own_page)
        assert response.status == 200


@pytest.mark.asyncio
async def test_call__failures__have_one_shape_and_no_inner_detail() -> None:
    async with ApiNode(hostile_operations()) as node:
        response = await node.call("buy", {})
        expected = {"error": "LicenseRequiredError", "message": "no license", "hint": "viz-node buy"}
        assert (response.status, await response.json()) == (402, expected)
        response = await node.call("crash", {})
        assert response.status == 500
        assert "secret detail" not in await response.text()
        response = await node.call("nope", {})
        assert (response.status, (await response.json())["error"]) == (404, "NotFoundError")
        response = await node.ask("GET", "/v1/call/add", headers=BEARER)
        assert (response.status, (await response.json())["error"]) == (405, "UsageError")


@pytest.mark.asyncio
async def test_call__body_above_one_mebibyte__is_refused() -> None:
    async with ApiNode(hostile_operations()) as node:
        headers = {**BEARER, "Content-Type": "application/json"}
        response = await node.ask("POST", "/v1/call/add", data=b" " * (1024 * 1024 + 1), headers=headers)
        assert response.status == 413


@pytest.mark.asyncio
async def test_readyz__before_and_after__follows_the_node() -> None:
    async with ApiNode(hostile_operations()) as node:
        assert (await node.ask("GET", "/healthz")).status == 200
        assert (await node.ask("GET", "/readyz")).status == 503
        node.is_ready = True
        assert (await node.ask("GET", "/readyz")).status == 200


@pytest.mark.asyncio
async def test_login__one_time_link__opens_pages_once_and_no_calls() -> None:
    async with ApiNode(hostile_operations()) as node:
        path = node.sessions.login_path()
        assert (await node.ask("HEAD", path)).status == 405
        response = await node.ask("GET", path, headers={"Sec-Fetch-Site": "none"})
        assert (response.status, response.headers["Location"]) == (303, "/")
        cookie = response.headers["Set-Cookie"]
        assert "HttpOnly" in cookie
        assert "SameSite=Strict" in cookie
        assert (await node.ask("GET", "/")).status == 200
        assert (await node.ask("GET", "/fragments/node")).status == 200
        assert (await node.ask("POST", "/v1/call/add", json={"left": 1})).status == 401
        assert (await node.ask("GET", path)).status == 401


@pytest.mark.asyncio
async def test_login__asked_by_token__gives_a_link_that_works() -> None:
    async with ApiNode(hostile_operations()) as node:
        response = await node.ask("POST", "/v1/login", json={}, headers=BEARER)
        url = (await response.json())["url"]
        assert url.startswith(f"http://{node.host}/login/")
        async with node.http.get(url) as page:
            assert page.status == 200
            assert "viz-node" in await page.text()


@pytest.mark.asyncio
async def test_page__names_from_strangers__stay_text() -> None:
    async with ApiNode(hostile_operations()) as node:
        for path in ("/", "/?q=%3Cscript%3Ealert", *(f"/fragments/{name}?q=%3Cimg" for name in PANELS)):
            response = await node.ask("GET", path, headers=BEARER)
            text = await response.text()
            assert response.status == 200
            assert "this panel failed" not in text, path
            assert "&lt;script&gt;" in text
            assert not re.search(
                r"<script>|<script(?! src=\"/static/)|<img(?! src=\"/static/)|\sstyle=|\son\w+=\"", text
            )


@pytest.mark.asyncio
async def test_page__sample_operations__shows_every_panel_and_polls_it() -> None:
    async with ApiNode(hostile_operations()) as node:
        text = await (await node.ask("GET", "/", headers=BEARER)).text()
        for name in PANELS:
            assert f'id="{name}"' in text
            assert f'hx-get="/fragments/{name}' in text
        assert '<progress max="10" value="3"' in text
        assert "12.34" in text
        assert text.count("<html") == 1


@pytest.mark.asyncio
async def test_page__one_operation_fails_and_one_is_missing__shows_the_rest() -> None:
    operations = hostile_operations()

    async def royalties() -> dict[str, Any]:
        raise ChainUnavailableError(f"no chain {XSS}", "start one")

    operations["royalties"] = royalties
    del operations["peers"]
    async with ApiNode(operations) as node:
        text = await (await node.ask("GET", "/", headers=BEARER)).text()
        assert "no chain &lt;script&gt;" in text
        assert 'id="works"' in text
        assert 'id="peers"' not in text
        assert (await node.ask("GET", "/fragments/peers", headers=BEARER)).status == 404


@pytest.mark.asyncio
async def test_page__empty_node__says_what_to_do_first() -> None:
    operations = hostile_operations()

    async def nothing() -> list[Any]:
        return []

    async def no_facts() -> dict[str, Any]:
        return {}

    operations.update(content_list=nothing, jobs_list=nothing, adapters_list=nothing, peers=nothing)
    operations.update(status=no_facts, royalties=no_facts)
    async with ApiNode(operations) as node:
        text = await (await node.ask("GET", "/", headers=BEARER)).text()
        assert "this panel failed" not in text
        assert "No works yet" in text
        assert "No sales yet" in text


@pytest.mark.asyncio
async def test_page__no_sale_yet_but_money_in_escrow__says_that_it_waits() -> None:
    operations = hostile_operations()

    async def royalties() -> dict[str, Any]:
        return {"due": "0.00", "in_escrow": "4.85", "rows": [], "sales": []}

    operations["royalties"] = royalties
    async with ApiNode(operations) as node:
        text = await (await node.ask("GET", "/fragments/earnings", headers=BEARER)).text()
        assert "4.85 tokens wait in escrow" in text
        assert "No sales yet" not in text


@pytest.mark.asyncio
async def test_page__no_session__explains_the_login_link() -> None:
    async with ApiNode(hostile_operations()) as node:
        response = await node.ask("GET", "/", headers={"Accept": "text/html"})
        assert response.status == 401
        assert response.content_type == "text/html"
        assert "viz-node status" in await response.text()
