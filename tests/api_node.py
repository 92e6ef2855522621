"""The application on a free port, over operations whose every text is an attack."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import ClientResponse, ClientSession, CookieJar
from aiohttp.test_utils import TestClient, TestServer

from viz_node.api import Sessions, make_app
from viz_node.domain.report import (
    NO_EFFECT,
    CurvePoint,
    SampleText,
    TextEffect,
    TrainingReport,
    WorkEffect,
    draw_curve,
)
from viz_node.errors import LicenseRequiredError, NotFoundError

TOKEN = "0123456789abcdef0123456789abcdef"
XSS = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
PANELS = ("node", "jobs", "adapters", "works", "market", "pools", "earnings", "peers")
BEARER = {"Authorization": f"Bearer {TOKEN}"}
Operations = dict[str, Callable[..., Awaitable[Any]]]


async def adapters_report(*, adapter: str) -> dict[str, Any]:
    if adapter == "none":
        raise NotFoundError(f"there is no report on {XSS}", XSS)
    effect = TextEffect(500, 900.0, 700.0)
    curve = tuple(CurvePoint(step, 4 - step / 30, 4.2 - step / 40 if step % 10 == 0 else None) for step in range(60))
    sample = SampleText(f"The sea {XSS}", f"was {XSS} " * 20, f"rose {XSS} " * 20)
    works = (WorkEffect(XSS, XSS, 12000, effect), WorkEffect("ab" * 32, "The Tide", 900, NO_EFFECT))
    facts: dict[str, int | str] = {"learning_rate": XSS, "steps": 60}
    report = TrainingReport(XSS, XSS, 1, facts, effect, effect, works, (sample, sample), curve)
    return {"report": report, "curve": draw_curve(curve)}


def hostile_operations() -> Operations:
    account = "0x" + "ab" * 20

    async def status() -> dict[str, Any]:
        chain = {"rpc_url": "", "chain_id": 31337, "market": account, "block": 7, "ok": False, "error": XSS}
        counts = {"works": 1, "adapters": 1, "jobs": 1, "peers": 1}
        return {"version": "1", "peer_id": XSS, "account": account, "addresses": [XSS], "chain": chain, "home": XSS,
                "balances": {"token": "12.34", "gas": "1.0"}, "counts": counts, "started": 1795474000,
                "problems": [XSS]}  # fmt: skip

    async def content_list() -> list[dict[str, Any]]:
        texts = {"title": XSS, "author": XSS, "rights": XSS, "language": XSS}
        return [{"work_id": "ab" * 32, **texts, "size_bytes": 5, "characters": 5}]

    async def jobs_list() -> list[dict[str, Any]]:
        progress = {"phase": XSS, "step": 3, "steps": 10, "loss": 2.5, "tokens_per_second": 99.0, "eta_seconds": 61}
        running = {"job_id": "j", "kind": XSS, "state": "running", "name": XSS, "progress": progress, "error": XSS}
        return [running, {**running, "state": XSS, "progress": {"steps": XSS, "loss": XSS}}]

    async def adapters_list() -> list[dict[str, Any]]:
        evaluation = {"perplexity_before": XSS, "perplexity_after": XSS}
        return [{"name": XSS, "adapter_id": XSS, "base": XSS, "origin": XSS, "evaluation": evaluation,
                 "published": True, "state": XSS, "price": XSS}]  # fmt: skip

    async def search(text: str = "") -> list[dict[str, Any]]:
        row = {"adapter_id": "cd" * 32, "name": XSS, "base_model": XSS, "peer_id": XSS, "price": "2.50",
               "license": XSS, "account": XSS, "licensed": True}  # fmt: skip
        return [row] if text in XSS else []

    async def royalties() -> dict[str, Any]:
        rows = [{"split_id": XSS, "share": XSS, "accrued": XSS, "claimed": XSS, "due": XSS}]
        sales = [{"adapter": XSS, "holder": XSS, "price": "5.00", "block": XSS, "tx_hash": XSS}]
        return {
            "account": XSS,
            "due": "1.23",
            "in_derived": XSS,
            "in_escrow": XSS,
            "in_pools": "3.20",
            "rows": rows,
            "sales": sales,
        }

    async def pool_list() -> list[dict[str, Any]]:
        row = {"pool": 1, "name": XSS, "fee": XSS, "days": XSS, "rule": XSS, "adapters_share": XSS, "period": 0,
               "period_ends": XSS, "paid_periods": [0], "roles": [XSS, "subscriber"], "divided": XSS}  # fmt: skip
        return [row, {**row, "error": XSS, "days": 30.0}]

    async def peers() -> list[dict[str, Any]]:
        return [{"peer_id": XSS, "addresses": [XSS], "connected": True}]

    async def add(left: int, right: int = 1) -> dict[str, int]:
        return {"sum": left + right}

    async def buy() -> dict[str, Any]:
        raise LicenseRequiredError("no license", "viz-node buy")

    async def crash() -> dict[str, Any]:
        raise ZeroDivisionError("secret detail")

    panels = (status, content_list, jobs_list, adapters_list, search, royalties, pool_list, peers)
    named = (*panels, adapters_report, add, buy, crash)
    return {operation.__name__: operation for operation in named}


class ApiNode:
    """The application on a free port, with a client that keeps no cookies of its own."""

    def __init__(self, operations: Operations) -> None:
        self.hosts: set[str] = set()
        self.is_ready = False
        self.sessions = Sessions(TOKEN)
        self.app = make_app(operations, self.sessions, self.hosts, lambda: [] if self.is_ready else ["peer network"])
        self.server = TestServer(self.app)

    async def __aenter__(self) -> "ApiNode":
        await self.server.start_server()
        self.host = f"127.0.0.1:{self.server.port}"
        self.hosts.add(self.host)
        self.client = TestClient(self.server, cookie_jar=CookieJar(unsafe=True))
        self.http: ClientSession = self.client.session
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()

    async def send_raw(self, request: bytes) -> int:
        """The status of the answer to these very bytes, or 0 for a connection that was closed instead."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.server.port)
        try:
            writer.write(request)
            line = await asyncio.wait_for(reader.readline(), 10)
        except ConnectionError:
            return 0
        finally:
            writer.close()
        return int(line.split()[1]) if line else 0

    async def ask(self, method: str, path: str, **options: Any) -> ClientResponse:
        url = f"http://{self.host}{path}"
        response = await self.http.request(method, url, allow_redirects=False, **options)
        await response.read()
        return response

    async def call(self, name: str, body: Any) -> ClientResponse:
        headers = {**BEARER, "Content-Type": "application/json"}
        return await self.ask("POST", f"/v1/call/{name}", data=json.dumps(body), headers=headers)
