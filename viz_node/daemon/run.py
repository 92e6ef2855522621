"""Start and stop of a node: one lock, one screen, until a signal."""

import asyncio
import json
import logging
import os
import signal
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from pathlib import Path
from typing import Any, Protocol

from viz_node.api import Scrape, make_app
from viz_node.api.server import serve
from viz_node.daemon.bootstrap import MOVED, join_neighbour, keep_api_port, keep_port, write_addresses
from viz_node.daemon.build import DIRECTORIES, Node, build
from viz_node.daemon.chain_keeper import ChainKeeper
from viz_node.daemon.chains import bind_home, join_chain
from viz_node.daemon.config import Config, load_config
from viz_node.daemon.first_files import FILES, FOLDERS, copied_files
from viz_node.daemon.health import LOOK_SECONDS
from viz_node.daemon.logs import write_log
from viz_node.daemon.metrics import CONTENT_TYPE
from viz_node.daemon.processes import raise_descriptor_limit
from viz_node.daemon.secrets import KEYSTORE, shield_process, unlock
from viz_node.daemon.signers import with_account
from viz_node.domain.answer import as_json
from viz_node.domain.health import Check, Health
from viz_node.domain.job import Job, JobState
from viz_node.domain.orders import Order
from viz_node.errors import UnreachableError, VizNodeError, disk_full
from viz_node.files import write_whole
from viz_node.services.jobs.runner import describe_job
from viz_node.storage.home import (
    LAST_START,
    LOCK_NAME,
    missing_parts,
    open_home,
    present_of,
    private_directory,
    remember_start,
    take_away,
)

log = logging.getLogger(__name__)

_REANNOUNCE_SECONDS = 3600
_RETRY_SECONDS = 5
_WATCH_SECONDS = 12
_ORDERS_SECONDS = 3
_CHAIN_SECONDS = 2


class Screen(Protocol):
    """Where a node in the foreground shows its progress."""

    def ready(self, facts: dict[str, Any]) -> None:
        """It answers now; whose, where, and on which chain."""

    def progress(self, job: dict[str, Any]) -> None:
        """A job of the first start progressed or ended."""

    def sample(self, facts: dict[str, Any]) -> None:
        """The sample adapter is published."""

    def trouble(self, message: str) -> None:
        """The first start did not finish."""


def start(home: Path, screen: Screen, with_sample: bool, **flags: Any) -> int:
    """Run a node on `home`, `flags` being options of the configuration, until SIGINT or SIGTERM.

    `with_sample`: whether the first start in development publishes a sample adapter.
    Raises: VizNodeError (the node cannot start).
    """
    home = home.expanduser().resolve()
    with _nothing_left_of_a_failed_start(home) as copied:
        config = load_config(home, **flags)
        copied.extend(copied_files(config))
        for name in DIRECTORIES:
            private_directory(home, name)
        write_log(home, config.log_level)
        raise_descriptor_limit()
        try:
            return asyncio.run(_run(config, screen, with_sample))
        except BaseExceptionGroup as group:
            cause = _first_cause(group)
            raise disk_full(cause) or cause from group


@contextmanager
def _nothing_left_of_a_failed_start(home: Path) -> Iterator[list[Path]]:
    """The home, locked; if a start fails before the node is ready, it removes what it made, unless there were keys.

    Nobody has seen the keys that it drew. The start adds to the list the files that it may copy.
    """
    missing, copied = missing_parts(home), list[Path]()
    with open_home(home):
        before = present_of(home, {*FILES, *FOLDERS} - {Path(LOCK_NAME)})
        is_new = before.isdisjoint({KEYSTORE, Path(LAST_START)})
        bases = set((home / "bases").rglob("*"))
        try:
            yield copied
        except BaseException:
            if is_new and not (home / LAST_START).exists():
                files = {name for name in copied if home / name not in bases}
                folders = {parent for name in files for parent in name.parents if home / parent not in bases}
                take_away(home, ({*FILES} | files) - before, ({*FOLDERS} | folders) - before - {Path()}, missing)
            raise


def _first_cause(group: BaseExceptionGroup[BaseException]) -> BaseException:
    """The deliberate error in the group if there is one, else its first; a group's own text names no cause."""
    leaves: list[BaseException] = []
    for error in group.exceptions:
        leaves.append(_first_cause(error) if isinstance(error, BaseExceptionGroup) else error)
    return next((error for error in leaves if isinstance(error, VizNodeError)), leaves[0])


async def _run(config: Config, screen: Screen, with_sample: bool) -> int:
    stop = _stop_signals()
    shield_process()
    keys = await asyncio.to_thread(with_account, config, unlock(config.home))
    chain = await asyncio.to_thread(join_chain, config, keys.account)
    keeper, api_file = ChainKeeper(config, chain, keys.account), config.home / "api.json"
    try:
        config = keep_api_port(keep_port(await asyncio.to_thread(join_neighbour, config)))
        node = build(config, keys, chain, [keeper.check] if config.dev else [])
        bind_home(config.home, node.store, chain.deployment)
        async with AsyncExitStack() as stack:
            await node.network.runner.start()
            stack.push_async_callback(node.network.runner.stop)
            url = await _open_api(config, node, stack)
            group = await stack.enter_async_context(asyncio.TaskGroup())
            jobs = node.services.jobs
            jobs.start(group)
            stack.push_async_callback(jobs.stop)
            background = [group.create_task(_recover(node)), group.create_task(_keep_network(node))]
            background += [group.create_task(_watch_transactions(node)), group.create_task(_keep_chain(keeper))]
            background += [group.create_task(_watch_orders(watch)) for watch in node.services.watchers]
            background.append(group.create_task(_watch_chain(node)))
            _write_api_file(api_file, url, node.token)
            write_addresses(config.home, node.network.runner.local_addresses)
            remember_start(config.home, config.dev, config.join)
            screen.ready(_facts(config, node))
            if config.dev and config.join is None:
                background.append(group.create_task(_first_start(node, screen, with_sample)))
            await stop.wait()
            for task in background:
                task.cancel()
            # At the same time, because a worker in training may use up all of its grace.
            await asyncio.gather(jobs.stop(), node.network.runner.stop(), node.end_writer())
    finally:
        api_file.unlink(missing_ok=True)
        await asyncio.to_thread(keeper.end)
    return 0


async def _open_api(config: Config, node: Node, stack: AsyncExitStack) -> str:
    """Serve the local API until the stack ends; its address."""
    hosts = set[str]()
    scrape = Scrape(node.read_metrics, CONTENT_TYPE)
    app = make_app(node.services.operations, node.sessions, hosts, lambda: _problems(node.find_unwell()), scrape)
    port = await stack.enter_async_context(serve(app, config.api_port))
    hosts |= {f"127.0.0.1:{port}", f"localhost:{port}"}
    return f"http://127.0.0.1:{port}"


def _problems(unwell: Sequence[Check]) -> list[str]:
    """Why this node cannot work now, in words fit for anyone."""
    return [check.check for check in unwell if check.state is Health.FAIL]


def _stop_signals() -> asyncio.Event:
    """Set by SIGINT and SIGTERM from now on: one during the start ends the node in order once its parts are up."""
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return stop


async def _first_start(node: Node, screen: Screen, with_sample: bool) -> None:
    """Make what a new node lacks; the node works without it."""

    def tell(job: Job[Order]) -> None:
        screen.progress(as_json(describe_job(job)))
        if job.state is JobState.FAILED:
            screen.trouble(job.error)

    try:
        sample = await node.services.first_start.run(with_sample, tell)
        if sample is not None:
            screen.sample(as_json(sample))
    except VizNodeError as error:
        log.warning("first start: %s", error.message)
        screen.trouble(error.message)


async def _recover(node: Node) -> None:
    """Settle what a crash left open, then announce what this node sells, again and again."""
    while True:
        try:
            await node.services.money.treasury.recover()
            node.announcements.forget_expired()
            await node.services.market.storefront.serve_library()
            await node.services.pools.desk.serve_divisions()
            await node.network.catch_up()
            await asyncio.sleep(_REANNOUNCE_SECONDS)
        except UnreachableError as error:
            log.warning("chain or network is down: %s", error.message)
            await asyncio.sleep(_RETRY_SECONDS)
        except VizNodeError as error:
            log.warning("recovery: %s", error.message)
            await asyncio.sleep(_RETRY_SECONDS)


async def _watch_transactions(node: Node) -> None:
    """Book what is deep enough, and send again, or with higher fees, what is not in a block."""
    while True:
        await asyncio.sleep(_WATCH_SECONDS)
        try:
            await node.services.money.treasury.recover()
        except VizNodeError as error:
            log.warning("transactions: %s", error.message)


async def _watch_orders(watch: Callable[[], Awaitable[None]]) -> None:
    """Deliver, open, dispute, settle and call back what the chain says is due."""
    while True:
        await asyncio.sleep(_ORDERS_SECONDS)
        try:
            await watch()
        except VizNodeError as error:
            log.warning("orders: %s", error.message)


async def _watch_chain(node: Node) -> None:
    """Check in the background whether the chain answers."""
    while True:
        await asyncio.to_thread(node.chain_watch.look)
        await asyncio.sleep(LOOK_SECONDS)


async def _keep_chain(keeper: ChainKeeper) -> None:
    """Make a development chain's blocks, and restart its process if it died."""
    while True:
        try:
            await asyncio.to_thread(keeper.step)
        except (VizNodeError, OSError) as error:
            log.warning("the development chain: %s", error)
        await asyncio.sleep(_CHAIN_SECONDS)


async def _keep_network(node: Node) -> None:
    """Restart the network's core if it died; meanwhile the API stays up and says so."""
    while True:
        await node.network.runner.failed.wait()
        log.error("the peer network ended and is started again")
        await asyncio.sleep(1)
        try:
            await node.network.runner.start()
        except VizNodeError as error:
            log.error("the peer network does not start: %s", error.message)
            await asyncio.sleep(_RETRY_SECONDS)


def _write_api_file(path: Path, url: str, token: str) -> None:
    write_whole(path, json.dumps({"url": url, "token": token, "pid": os.getpid()}).encode())


def _facts(config: Config, node: Node) -> dict[str, Any]:
    return {
        "home": str(config.home),
        "peer": node.network.peer_id,
        "account": node.keys.account,
        "addresses": " ".join(node.network.addresses),
        "dashboard": node.login_link(),
        "moved": config.origins.get("api_port", "") if MOVED in config.origins.get("api_port", "") else "",
        "chain": node.facts.rpc_url,
        "dev": config.dev,
    }
