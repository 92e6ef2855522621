"""Who may speak to the local API: the checks that every request passes, outermost first.

A page on any web site can make the owner's browser send requests to loopback, and a name it controls can be pointed
at 127.0.0.1 (DNS rebinding). So each request must name a host that is ours, with its port (421), must not come from
another site by `Sec-Fetch-Site` or `Origin` (403), and must prove that it may (401): the command line by the bearer
token of `api.json`, a browser by a session cookie from a one-time link, a scraper by a token for `/metrics` alone.
Browsers send cookies to every port of a host, so another local program could learn the cookie: it opens the pages to
read, never `/v1/`. Calls must be declared as JSON (415), which no plain form can do.
`tests/integration/test_api_guard.py` holds the matrix.
"""

import hmac
import secrets
import time
from collections.abc import Awaitable, Callable, Set
from urllib.parse import urlsplit

from aiohttp import web
from aiohttp.typedefs import Middleware

from viz_node.api.server import Connection

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

COOKIE = "viz-session"
MAX_BODY_BYTES = 1024 * 1024
SECURITY_HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}

_CODE_SECONDS = 600
_SESSION_SECONDS = 12 * 3600
_MOST_HELD = 64
_OPEN_PATHS = ("/healthz", "/readyz")
METRICS_PATH = "/metrics"
_OPEN_PREFIXES = ("/login/", "/static/")


class Sessions:
    """The token, the unused login codes and the open browser sessions; lives in memory, so a restart closes all."""

    def __init__(
        self, token: str, clock: Callable[[], float] = time.monotonic, scrape_token: str | None = None
    ) -> None:
        """`scrape_token` opens `/metrics` and nothing else."""
        if len(token) < 16:
            raise ValueError("the token is too short to be a secret")
        self._token = token.encode()
        self._scrape_token = None if scrape_token is None else scrape_token.encode()
        self._clock = clock
        self._codes: dict[str, float] = {}
        self._cookies: dict[str, float] = {}

    def login_code(self) -> str:
        """A code that opens one session within five minutes or more.

        It stays the same until it is used or half its time has passed, so that a page that asks often takes nobody's
        link away.
        """
        latest = next(reversed(self._codes), None)
        if latest is not None and self._clock() < self._codes[latest] - _CODE_SECONDS / 2:
            return latest
        return self._issue(self._codes, _CODE_SECONDS)

    def login_path(self) -> str:
        """The path of a one-time login link, `/login/…`; it works once, for at least five minutes."""
        return f"/login/{self.login_code()}"

    def redeem(self, code: str) -> str | None:
        """The cookie of a new session, or None: the code is unknown, used or too old."""
        ends = self._codes.pop(code, None)
        return self._issue(self._cookies, _SESSION_SECONDS) if ends is not None and self._clock() < ends else None

    def is_open(self, cookie: str) -> bool:
        """Whether the cookie is of a session that has not ended."""
        return self._clock() < self._cookies.get(cookie, float("-inf"))

    def is_token(self, authorization: str) -> bool:
        """Whether it is `Bearer` and the token."""
        return _is_bearer(authorization, self._token)

    def may_scrape(self, authorization: str) -> bool:
        """Whether it is `Bearer` and the token for figures."""
        return self._scrape_token is not None and _is_bearer(authorization, self._scrape_token)

    def _issue(self, held: dict[str, float], seconds: int) -> str:
        while len(held) >= _MOST_HELD:
            del held[next(iter(held))]
        secret = secrets.token_urlsafe(32)
        held[secret] = self._clock() + seconds
        return secret


def _is_bearer(authorization: str, token: bytes) -> bool:
    scheme, _, given = authorization.partition(" ")
    return scheme.lower() == "bearer" and hmac.compare_digest(given.encode("utf-8", "surrogateescape"), token)


def make_guards(hosts: Set[str], sessions: Sessions) -> list[Middleware]:
    """The middlewares in order; `hosts` is read at each request, so that a port may be added once it is known."""

    @web.middleware
    async def check_host(request: web.Request, handler: Handler) -> web.StreamResponse:
        named = request.headers.getall("Host", [])
        if len(named) != 1 or named[0].lower() not in hosts:
            raise web.HTTPMisdirectedRequest(text="this host name is not the node's")
        return await handler(request)

    @web.middleware
    async def check_site(request: web.Request, handler: Handler) -> web.StreamResponse:
        if not _is_same_site(request, hosts):
            raise web.HTTPForbidden(text="the request comes from another web site")
        return await handler(request)

    @web.middleware
    async def check_credentials(request: web.Request, handler: Handler) -> web.StreamResponse:
        is_open = request.path in _OPEN_PATHS or request.path.startswith(_OPEN_PREFIXES)
        may_enter = _may_enter(request, sessions)
        if not is_open and not may_enter:
            raise web.HTTPUnauthorized(text="no valid token or login session came with this request")
        if may_enter and isinstance(request.protocol, Connection):
            request.protocol.is_known = True
        return await handler(request)

    @web.middleware
    async def check_content_type(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.method not in ("GET", "HEAD") and request.content_type != "application/json":
            raise web.HTTPUnsupportedMediaType(text="the body must be application/json")
        return await handler(request)

    return [check_host, check_site, check_credentials, check_content_type]


async def add_security_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Signal for `on_response_prepare`: the page policy on every answer, errors too."""
    response.headers.update(SECURITY_HEADERS)
    response.headers.setdefault("Cache-Control", "no-store")


def _is_same_site(request: web.Request, hosts: Set[str]) -> bool:
    # Programs send neither header; a browser that is too old for the first still sends the second with a POST.
    if any(value not in ("same-origin", "none") for value in request.headers.getall("Sec-Fetch-Site", [])):
        return False
    return all(_is_own_origin(origin, hosts) for origin in request.headers.getall("Origin", []))


def _is_own_origin(origin: str, hosts: Set[str]) -> bool:
    try:
        parts = urlsplit(origin)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and parts.netloc.lower() in hosts


def _may_enter(request: web.Request, sessions: Sessions) -> bool:
    authorization = request.headers.get("Authorization", "")
    if sessions.is_token(authorization) or (request.path == METRICS_PATH and sessions.may_scrape(authorization)):
        return True
    return not request.path.startswith("/v1/") and sessions.is_open(request.cookies.get(COOKIE, ""))
