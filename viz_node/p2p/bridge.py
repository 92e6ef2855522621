"""The only place that knows both loops: a trio program in its own thread, called from asyncio and calling back.

A call from asyncio runs as a task in trio; cancelling it cancels the task and waits for its clean-up. A call from trio
into asyncio is the mirror image. When the trio program ends unasked, `on_end` is called in the asyncio loop.
"""

import asyncio
import threading
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, Final, TypeVar

import trio

from viz_node.errors import PeerUnreachableError, VizNodeError

T = TypeVar("T")
_STOP_SECONDS: Final = 2.0
_CANCEL_SECONDS: Final = 5.0

Main = Callable[..., Awaitable[None]]


class TrioThread:
    """Runs one trio program; start it once."""

    def __init__(self, on_end: Callable[[BaseException | None], None]) -> None:
        self._on_end = on_end
        self._loop = asyncio.get_running_loop()
        self._started: asyncio.Future[None] = self._loop.create_future()
        self._ended = asyncio.Event()
        self._thread: threading.Thread | None = None
        self._token: trio.lowlevel.TrioToken | None = None
        self._nursery: trio.Nursery | None = None
        self._scope = trio.CancelScope()

    async def start(self, main: Main) -> None:
        """Return once `main` reports that it has started. Raises: whatever `main` raises before that."""
        self._thread = threading.Thread(target=self._run, args=(main,), name="p2p", daemon=True)
        self._thread.start()
        await asyncio.shield(self._started)

    def _run(self, main: Main) -> None:
        error: BaseException | None = None
        try:
            trio.run(self._program, main, restrict_keyboard_interrupt_to_checkpoints=True)
        except BaseException as raised:  # noqa: BLE001
            # The edge of the thread: everything goes to the asyncio side, which decides.
            error = _first_cause(raised)
        self._post(self._note_end, error)

    async def _program(self, main: Main) -> None:
        self._token = trio.lowlevel.current_trio_token()
        with self._scope:
            async with trio.open_nursery() as nursery:
                self._nursery = nursery
                await nursery.start(main)
                self._post(self._note_start)

    def _post(self, function: Callable[..., None], *arguments: object) -> None:
        try:
            self._loop.call_soon_threadsafe(function, *arguments)
        except RuntimeError:
            # The asyncio loop is closed: nobody is left to tell.
            return

    def _note_start(self) -> None:
        if not self._started.done():
            self._started.set_result(None)

    def _note_end(self, error: BaseException | None) -> None:
        self._ended.set()
        if not self._started.done():
            self._started.set_exception(error or PeerUnreachableError("the network core ended before it started"))
        else:
            self._on_end(error)

    def post(self, function: Callable[..., None], *arguments: object) -> None:
        """From trio: call a plain function in the asyncio loop, soon."""
        self._post(function, *arguments)

    async def call(self, function: Callable[..., Awaitable[T]], *arguments: object) -> T:
        """From asyncio: run a trio coroutine function. Raises: what it raises, PeerUnreachableError (core is down)."""
        future: asyncio.Future[T] = self._loop.create_future()
        scope = trio.CancelScope()

        def settle(result: Any, error: BaseException | None) -> None:
            if not future.done():
                if error is None:
                    future.set_result(result)
                else:
                    future.set_exception(error)

        async def task() -> None:
            result: Any = None
            error: BaseException | None = PeerUnreachableError("the network core stopped", "try again")
            try:
                with scope:
                    result = await function(*arguments)
                    error = None
                if scope.cancelled_caught:
                    error = asyncio.CancelledError()
            except Exception as raised:  # noqa: BLE001
                error = _first_cause(raised)
            finally:
                self._post(settle, result, error)

        self._spawn(task, lambda: self._post(settle, None, PeerUnreachableError("the network core is not running")))
        try:
            return await asyncio.shield(future)
        except asyncio.CancelledError:
            self._in_trio(scope.cancel)
            await asyncio.wait([future], timeout=_CANCEL_SECONDS)
            if future.done() and not future.cancelled():
                future.exception()
            raise

    def _spawn(self, task: Callable[[], Awaitable[None]], on_down: Callable[[], None]) -> None:
        def spawn() -> None:
            try:
                if self._nursery is None:
                    raise RuntimeError("no nursery")
                self._nursery.start_soon(task)
            except RuntimeError:
                on_down()

        if not self._in_trio(spawn):
            on_down()

    def _in_trio(self, function: Callable[[], object]) -> bool:
        if self._token is None:
            return False
        try:
            self._token.run_sync_soon(function)
        except trio.RunFinishedError:
            return False
        return True

    async def call_asyncio(self, function: Callable[..., Coroutine[Any, Any, T]], *arguments: object) -> T:
        """From trio: run an asyncio coroutine function. Raises: what it raises."""
        token = trio.lowlevel.current_trio_token()
        done = trio.Event()
        future = asyncio.run_coroutine_threadsafe(function(*arguments), self._loop)

        def wake(_: object) -> None:
            try:
                token.run_sync_soon(done.set)
            except trio.RunFinishedError:
                return

        future.add_done_callback(wake)
        try:
            await done.wait()
        except trio.Cancelled:
            future.cancel()
            raise
        if future.cancelled():
            raise PeerUnreachableError("the node is stopping")
        return future.result()

    async def stop(self) -> None:
        """End the program; waits two seconds for it, then leaves the daemon thread to the process's end."""
        self._in_trio(self._scope.cancel)
        try:
            await asyncio.wait_for(self._ended.wait(), _STOP_SECONDS)
        except TimeoutError:
            return


def _first_cause(error: BaseException) -> BaseException:
    """Our own error out of trio's nested groups if there is one, else the first leaf."""
    leaves: list[BaseException] = []
    stack = [error]
    while stack:
        item = stack.pop()
        if isinstance(item, BaseExceptionGroup):
            stack.extend(reversed(item.exceptions))
        else:
            leaves.append(item)
    return next((leaf for leaf in leaves if isinstance(leaf, VizNodeError)), leaves[0])
