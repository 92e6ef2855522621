"""The routes of the local API and its error answers; the composition of one aiohttp application."""

import asyncio
import json
import logging
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence, Set
from contextlib import aclosing
from dataclasses import dataclass

from aiohttp import web
from aiohttp.typedefs import Middleware

from viz_node.api.binding import Call, call_of, parse_body
from viz_node.api.dashboard import Dashboard
from viz_node.api.guard import (
    COOKIE,
    MAX_BODY_BYTES,
    METRICS_PATH,
    Handler,
    Sessions,
    add_security_headers,
    make_guards,
)
from viz_node.domain.answer import as_json
from viz_node.domain.names import readable
from viz_node.errors import HTTP_STATUS, NotFoundError, VizNodeError, disk_full, status_for

Operation = Callable[..., Awaitable[object]]

BODY_SECONDS = 10.0


_ERROR_NAMES = {
    401: "RefusedError",
    403: "RefusedError",
    404: "NotFoundError",
    421: "RefusedError",
    503: "UnreachableError",
}
_HINTS = {
    401: "`viz-node status` gives a login link; programs send the token of api.json",
    403: "open the address by hand",
    405: "calls are POST /v1/call/NAME",
    421: "use the address that `viz-node status` shows",
}
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Scrape:
    """Figures for a monitoring system."""

    text: Callable[[], Awaitable[bytes]]
    content_type: str


def make_app(
    operations: Mapping[str, Operation],
    sessions: Sessions,
    hosts: Set[str],
    problems: Callable[[], Sequence[str]],
    scrape: Scrape | None = None,
) -> web.Application:
    """The whole local API, ready to be run.

    `hosts` holds `host:port` texts in lower case and is read at each request: add the port once it is known. An
    operation takes keywords or one request, and answers records, what JSON can hold, or records one after another.
    Raises: TypeError (a parameter
    cannot come from JSON).
    """
    dashboard = Dashboard(operations)
    app = web.Application(
        client_max_size=MAX_BODY_BYTES,
        middlewares=[_make_error_answers(dashboard), *make_guards(hosts, sessions)],
    )
    app.on_response_prepare.append(add_security_headers)
    _add_health(app, problems)
    if scrape is not None:
        _add_metrics(app, scrape)
    _add_login(app, sessions)
    _add_calls(app, operations)
    dashboard.add_routes(app)
    return app


def _add_health(app: web.Application, problems: Callable[[], Sequence[str]]) -> None:
    async def answer_healthz(_request: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    async def answer_readyz(_request: web.Request) -> web.Response:
        found = list(problems())
        return web.json_response({"ready": not found, "problems": found}, status=503 if found else 200)

    app.router.add_get("/healthz", answer_healthz)
    app.router.add_get("/readyz", answer_readyz)


def _add_metrics(app: web.Application, scrape: Scrape) -> None:
    async def answer_metrics(_request: web.Request) -> web.Response:
        return web.Response(body=await scrape.text(), headers={"Content-Type": scrape.content_type})

    app.router.add_get(METRICS_PATH, answer_metrics)


def _add_login(app: web.Application, sessions: Sessions) -> None:
    async def issue_link(request: web.Request) -> web.Response:
        return web.json_response({"url": f"http://{request.headers['Host']}{sessions.login_path()}"})

    async def open_session(request: web.Request) -> web.Response:
        cookie = sessions.redeem(request.match_info["code"])
        if cookie is None:
            raise web.HTTPUnauthorized(text="the login link was used already or is too old")
        response = web.Response(status=303, headers={"Location": "/"})
        response.set_cookie(COOKIE, cookie, path="/", httponly=True, samesite="Strict")
        return response

    app.router.add_post("/v1/login", issue_link)
    # Without HEAD: a link checker must not use the code up.
    app.router.add_get("/login/{code}", open_session, allow_head=False)


def _add_calls(app: web.Application, operations: Mapping[str, Operation]) -> None:
    calls = {name: call_of(operation) for name, operation in operations.items()}

    async def call(request: web.Request) -> web.StreamResponse:
        name = request.match_info["operation"]
        if name not in calls:
            raise NotFoundError(f"there is no call {name!r}", "GET /v1/operations lists them")
        answer = await calls[name].start(parse_body(await _read_body(request)))
        if isinstance(answer, AsyncGenerator):
            return await _stream(request, answer)
        return web.json_response(as_json(answer), dumps=_to_json)

    async def list_operations(_request: web.Request) -> web.Response:
        rows = [_describe(name, calls[name]) for name in sorted(calls)]
        return web.json_response(rows, dumps=_to_json)

    app.router.add_post("/v1/call/{operation}", call)
    app.router.add_get("/v1/operations", list_operations)


async def _stream(request: web.Request, records: AsyncGenerator[object, None]) -> web.StreamResponse:
    """One record per line as it comes; a caller that has gone ends the records."""
    response = web.StreamResponse(headers={"Content-Type": "application/x-ndjson"})
    await response.prepare(request)
    async with aclosing(records):
        async for record in records:
            await response.write(_to_json(as_json(record)).encode() + b"\n")
    await response.write_eof()
    return response


async def _read_body(request: web.Request) -> bytes:
    """The whole body, in time: a caller that dribbles must not hold a connection open."""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            return await request.read()
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(text=f"the body did not arrive within {BODY_SECONDS:g} s") from error


def _describe(name: str, call: Call) -> dict[str, object]:
    parameters = call.parameters.values()
    rows = [{"name": item.name, "type": item.wanted, "required": item.is_required} for item in parameters]
    return {"name": name, "description": call.description, "parameters": rows}


def _make_error_answers(dashboard: Dashboard) -> Middleware:
    """The outermost middleware: whatever goes wrong inside becomes one shape of JSON, or a page for the browser."""

    @web.middleware
    async def answer_errors(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            return await handler(request)
        except web.HTTPException as error:
            if error.status < 400:
                raise
            status = error.status
            body = _error_body(_ERROR_NAMES.get(status, "UsageError"), error.text or "", _HINTS.get(status, ""))
        except Exception as raised:  # noqa: BLE001 - the edge: an unforeseen cause belongs in the log, not in the answer
            cause = disk_full(raised) or raised
            if not isinstance(cause, VizNodeError):
                _log.exception("%s %s failed", request.method, request.path)
                cause = VizNodeError("the node failed on this call", "see viz-node logs")
            body = _error_body(type(cause).__name__, cause.message, cause.hint)
            status = status_for(cause, HTTP_STATUS)
        if request.path.startswith("/v1/") or "text/html" not in request.headers.get("Accept", ""):
            return web.json_response(body, status=status, dumps=_to_json)
        return web.Response(text=dashboard.error_page(body, status), status=status, content_type="text/html")

    return answer_errors


def _error_body(name: str, message: str, hint: str) -> dict[str, str]:
    return {"error": name, "message": message, "hint": hint}


def _to_json(value: object) -> str:
    """The answer, whatever an earlier version or a stranger left in a record: no text or number makes it fail."""
    try:
        text = json.dumps(value, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError:
        text = json.dumps(_without_nan(value), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return readable(text)


def _without_nan(value: object) -> object:
    """The value with null for every number that JSON cannot hold."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return value
