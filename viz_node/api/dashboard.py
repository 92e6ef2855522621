"""The pages for people: one dashboard of panels, drawn on the server and refreshed panel by panel.

Every panel is one operation and one template. Names, titles and addresses come from strangers, so the templates escape
everything and put names in `<bdi>`; the page policy forbids inline scripts and styles besides.
"""

import asyncio
import hashlib
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from pathlib import Path

from aiohttp import web
from jinja2 import ChainableUndefined, Environment, FileSystemLoader
from markupsafe import Markup

from viz_node.domain.answer import as_json
from viz_node.domain.names import readable
from viz_node.errors import VizNodeError

_HERE = Path(__file__).parent
_STATIC = {
    "page.css": "text/css",
    "page.js": "text/javascript",
    "htmx.min.js": "text/javascript",
    "icon.svg": "image/svg+xml",
}
_PANEL_SECONDS = 4.0
_MOST_ROWS = 12
_MOST_JOBS = 5
_MOST_WORKS = 100
_MOST_BARS = 6
_MOST_SEARCH_CHARACTERS = 200
_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Panel:
    """One section of the page: its operation, and how often a browser asks again."""

    name: str
    title: str
    operation: str
    refresh_seconds: int


PANELS = (
    Panel("node", "Node", "status", 2),
    Panel("jobs", "Jobs", "jobs_list", 2),
    Panel("peers", "Peers", "peers", 4),
    Panel("adapters", "Adapters", "adapters_list", 4),
    Panel("works", "Works", "content_list", 4),
    Panel("market", "Market", "search", 8),
    Panel("pools", "Pools", "pool_list", 30),
    Panel("earnings", "Sales and royalties", "royalties", 8),
)


@dataclass(frozen=True)
class Bar:
    """One bar of the chart; `permille` is its length against the longest."""

    label: str
    amount: str
    permille: int
    count: int


class Dashboard:
    """Draws the pages; holds no state but the templates and the static files."""

    def __init__(self, operations: Mapping[str, Callable[..., Awaitable[object]]]) -> None:
        self._operations = operations
        self._panels = {panel.name: panel for panel in PANELS if panel.operation in operations}
        self._static = {name: (_HERE / "static" / name).read_bytes() for name in _STATIC}
        self._templates = Environment(
            loader=FileSystemLoader(_HERE / "templates"),
            autoescape=True,
            undefined=ChainableUndefined,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._templates.filters.update(
            moment=moment, size=size, short=short, duration=duration, number=number, perplexity=perplexity
        )
        digest = hashlib.sha256(b"".join(self._static.values())).hexdigest()[:12]
        self._templates.globals.update(
            version=digest, sales_bars=sales_bars, most_rows=_MOST_ROWS, most_jobs=_MOST_JOBS, most_works=_MOST_WORKS
        )

    def add_routes(self, app: web.Application) -> None:
        """Add `/`, `/fragments/{name}`, `/reports/{adapter}` and `/static/{name}`."""
        app.router.add_get("/", self._show_page)
        app.router.add_get("/fragments/{name}", self._show_fragment)
        app.router.add_get("/reports/{adapter}", self._show_report)
        app.router.add_get("/static/{name}", self._show_static)

    def error_page(self, body: Mapping[str, str], status: int) -> str:
        """A page that names the cause and the next step."""
        return readable(self._templates.get_template("error.html").render(problem=body, status=status))

    async def _show_page(self, request: web.Request) -> web.Response:
        query = _query_of(request)
        drawn = await asyncio.gather(*(self._draw(panel, query) for panel in self._panels.values()))
        fragments = dict(zip(self._panels, drawn, strict=True))
        text = self._templates.get_template("page.html").render(
            panels=self._panels.values(), fragments=fragments, query=query
        )
        return web.Response(text=readable(text), content_type="text/html")

    async def _show_fragment(self, request: web.Request) -> web.Response:
        panel = self._panels.get(request.match_info["name"])
        if panel is None:
            raise web.HTTPNotFound(text="there is no such panel")
        return web.Response(text=await self._draw(panel, _query_of(request)), content_type="text/html")

    async def _show_report(self, request: web.Request) -> web.Response:
        # What fails, the error page tells.
        answer = as_json(await self._operations["adapters_report"](adapter=request.match_info["adapter"]))
        text = self._templates.get_template("report.html").render(
            report=answer["report"], curve=Markup(answer["curve"])
        )
        return web.Response(text=readable(text), content_type="text/html")

    async def _show_static(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        if name not in self._static:
            raise web.HTTPNotFound(text="there is no such file")
        headers = {"Cache-Control": "max-age=31536000, immutable"}
        return web.Response(body=self._static[name], content_type=_STATIC[name], charset="utf-8", headers=headers)

    async def _draw(self, panel: Panel, query: str) -> Markup:
        """The panel's HTML; what fails inside one panel is said there and leaves the others alone."""
        arguments = {"text": query} if panel.operation == "search" else {}
        facts: dict[str, object] = {"panel": panel, "query": query}
        try:
            async with asyncio.timeout(_PANEL_SECONDS):
                facts["data"] = as_json(await self._operations[panel.operation](**arguments))
            template = f"{panel.name}.html"
            return Markup(readable(self._templates.get_template(template).render(facts)))
        except VizNodeError as error:
            problem = {"message": error.message, "hint": error.hint}
        except TimeoutError:
            problem = {"message": "no answer yet", "hint": "asking again"}
        except Exception:  # noqa: BLE001 - the edge: one broken panel must not take the page away
            _log.exception("the panel %s failed", panel.name)
            problem = {"message": "this panel failed", "hint": "see the node's log"}
        text = self._templates.get_template("problem.html").render(panel=panel, problem=problem)
        return Markup(readable(text))


def _query_of(request: web.Request) -> str:
    return request.query.get("q", "").strip()[:_MOST_SEARCH_CHARACTERS]


def moment(time: object) -> Markup:
    """A `<time>` in UTC of whole seconds since 1970, or of a time in ISO 8601; a dash for anything else."""
    instant = None
    if isinstance(time, int) and 0 < time < 2**37:
        instant = datetime.fromtimestamp(time, UTC)
    elif isinstance(time, str):
        with suppress(ValueError):
            instant = datetime.fromisoformat(time)
    if instant is None or instant.tzinfo is not UTC:
        return Markup("–")
    return Markup('<time datetime="{}">{}</time>').format(instant.isoformat(), instant.strftime("%d %b %Y, %H:%M UTC"))


def size(size_bytes: object) -> str:
    """Bytes as people read them."""
    if not isinstance(size_bytes, int):
        return "–"
    amount, unit = float(size_bytes), "B"
    for unit in ("B", "KiB", "MiB", "GiB", "TiB"):
        if amount < 1024 or unit == "TiB":
            break
        amount /= 1024
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def short(text: object, head: int = 8, tail: int = 6) -> str:
    """A long id by its two ends; the template puts the whole into `title`."""
    whole = str(text or "")
    return whole if len(whole) <= head + tail + 1 else f"{whole[:head]}…{whole[-tail:]}"


def duration(seconds: object) -> str:
    """Seconds as `1 h 5 min`, `12 min` or `40 s`."""
    if not isinstance(seconds, int | float) or not 0 <= seconds < 1e9:
        return "–"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min"


def number(value: object) -> str:
    """A count with thin spaces between thousands; other values as they are."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    return f"{value:,}".replace(",", "\u2009") if isinstance(value, int) else f"{value:.4g}"


def perplexity(loss: object, tokens: object) -> str:
    """The perplexity of a loss that was summed over so many tokens; a dash without tokens."""
    if not isinstance(loss, int | float) or not isinstance(tokens, int) or tokens < 1:
        return "–"
    return f"{math.exp(min(loss / tokens, 20)):.2f}"


def sales_bars(sales: object) -> list[Bar]:
    """Revenue by adapter, largest first; the sales that cannot be read are left out."""
    totals: dict[str, Decimal] = {}
    counts: dict[str, int] = {}
    labels: dict[str, str] = {}
    for sale in sales if isinstance(sales, list | tuple) else []:
        amount = _amount_of(sale)
        if amount is not None:
            number = str(sale.get("adapter", ""))
            labels[number] = str(sale.get("name") or f"adapter {number}")
            totals[number] = totals.get(number, Decimal(0)) + amount
            counts[number] = counts.get(number, 0) + 1
    ranked = sorted(totals.items(), key=lambda item: (-item[1], item[0]))[:_MOST_BARS]
    longest = ranked[0][1] if ranked else Decimal(1)
    return [Bar(labels[key], f"{total:.2f}", int(1000 * total / longest), counts[key]) for key, total in ranked]


def _amount_of(sale: object) -> Decimal | None:
    try:
        amount = Decimal(str(sale["price"])) if isinstance(sale, dict) else Decimal(0)
    except (InvalidOperation, KeyError):
        return None
    return amount if amount.is_finite() and amount > 0 else None
