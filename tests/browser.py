"""A real Chromium, driven over its debugging socket: what a person would see, and what the console says."""

import asyncio
import base64
import contextlib
import itertools
import shutil
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, Self

from aiohttp import ClientSession, ClientWebSocketResponse, WSMsgType

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
_FLAGS = ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run",
          "--hide-scrollbars", "--disable-background-networking", "--remote-debugging-port=0")  # fmt: skip
_SECONDS = 30


class Page:
    """One tab. `complaints` collects console errors, policy violations, exceptions and dialogs."""

    def __init__(self, socket: ClientWebSocketResponse) -> None:
        self._socket = socket
        self._session = ""
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._loaded = asyncio.Event()
        self._reader = asyncio.ensure_future(self._read())
        self.complaints: list[str] = []

    async def __aenter__(self) -> Self:
        target = await self.ask("Target.createTarget", url="about:blank")
        attached = await self.ask("Target.attachToTarget", targetId=target["targetId"], flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Runtime", "Log", "Network"):
            await self.ask(f"{domain}.enable")
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reader.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._reader

    async def ask(self, method: str, **params: Any) -> dict[str, Any]:
        """One command of the DevTools protocol and its result."""
        number = next(self._numbers)
        self._answers[number] = asyncio.get_running_loop().create_future()
        order = {"id": number, "method": method, "params": params}
        await self._socket.send_json(order | ({"sessionId": self._session} if self._session else {}))
        answer = await asyncio.wait_for(self._answers[number], _SECONDS)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return dict(answer["result"])

    async def open(self, url: str) -> None:
        """Go to `url` and wait until it has loaded."""
        self._loaded.clear()
        await self.ask("Page.navigate", url=url)
        await asyncio.wait_for(self._loaded.wait(), _SECONDS)

    async def evaluate(self, expression: str) -> Any:
        """The value of an expression in the page; a promise is awaited."""
        answer = await self.ask("Runtime.evaluate", expression=expression, returnByValue=True,
                                awaitPromise=True, allowUnsafeEvalBlockedByCSP=False)  # fmt: skip
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    async def look(self, width: int, height: int = 900, scheme: str = "light") -> None:
        """The window's size, and what the person prefers."""
        await self.ask("Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1,
                       mobile=False)  # fmt: skip
        preference = [{"name": "prefers-color-scheme", "value": scheme}]
        await self.ask("Emulation.setEmulatedMedia", features=preference)

    async def screenshot(self, path: Path) -> None:
        """The whole page as a PNG."""
        answer = await self.ask("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(answer["data"]))

    async def _read(self) -> None:
        async for message in self._socket:
            if message.type is not WSMsgType.TEXT:
                return
            event = message.json()
            if "id" in event:
                self._answers.pop(event["id"]).set_result(event)
                continue
            self._note(event["method"], event.get("params", {}))

    def _note(self, method: str, params: dict[str, Any]) -> None:
        if method == "Page.loadEventFired":
            self._loaded.set()
        describe = _COMPLAINTS.get(method)
        if describe is not None and (text := describe(params)):
            self.complaints.append(text)


def _of_log(params: dict[str, Any]) -> str:
    entry = params["entry"]
    return f"{entry['source']}: {entry['text']}" if entry["level"] in ("error", "warning") else ""


def _of_console(params: dict[str, Any]) -> str:
    return f"console: {params['args']}" if params["type"] in ("error", "warning", "assert") else ""


_COMPLAINTS: dict[str, Callable[[dict[str, Any]], str]] = {
    "Log.entryAdded": _of_log,
    "Runtime.consoleAPICalled": _of_console,
    "Runtime.exceptionThrown": lambda params: f"exception: {params['exceptionDetails']}",
    "Page.javascriptDialogOpening": lambda params: f"dialog: {params['message']}",
}


@contextlib.asynccontextmanager
async def open_browser(profile: Path) -> AsyncIterator[Page]:
    """A tab of a fresh Chromium with an empty profile; ends with the block."""
    process = await asyncio.create_subprocess_exec(
        str(CHROMIUM), *_FLAGS, f"--user-data-dir={profile}", "about:blank",
        stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    try:
        address = await asyncio.wait_for(_find_address(process), _SECONDS)
        async with ClientSession() as http, http.ws_connect(address, max_msg_size=0) as socket, Page(socket) as page:
            yield page
            await page.ask("Page.close")
    finally:
        process.terminate()
        await process.wait()


async def _find_address(process: asyncio.subprocess.Process) -> str:
    assert process.stderr is not None
    async for line in process.stderr:
        _, found, address = line.decode(errors="replace").partition("DevTools listening on ")
        if found:
            return address.strip()
    raise RuntimeError("Chromium ended before it listened")
