"""Start and stop of a node: one lock, one screen, until a signal."""

import asyncio
import json
import logging
import os
import secrets
import signal
from contextlib import AsyncExitStack
from pathlib import Path

from rich.console import Console

from viz_node.api import issue_login_path, make_app
from viz_node.api.server import serve
from viz_node.daemon.bootstrap import join_neighbour, write_addresses
from viz_node.daemon.build import DIRECTORIES, Node, build
from viz_node.daemon.chains import join_chain, leave_chain
from viz_node.daemon.config import Config, load_config
from viz_node.daemon.secrets import unlock
from viz_node.errors import UnreachableError, VizNodeError
from viz_node.storage.home import open_home, private_directory

log = logging.getLogger(__name__)

_REANNOUNCE_SECONDS = 3600
_RETRY_SECONDS = 5


def start(home: Path, dev: bool, join: Path | None, port: int | None, listen: str | None) -> int:
    """Run a node on `home` until SIGINT or SIGTERM. Raises: VizNodeError (what keeps it from starting)."""
    home = home.expanduser().resolve()
    with open_home(home):
        for name in DIRECTORIES:
            private_directory(home, name)
        config = load_config(
            home, dev=dev, join=join.expanduser().resolve() if join else None, api_port=port, listen=listen
        )
        logging.basicConfig(
            filename=home / "logs" / "node.log",
            level=config.log_level,
            format="%(asctime)s %(levelname)s %(name)s: %(message)s",
        )
        return asyncio.run(_run(config))


async def _run(config: Config) -> int:
    keys = unlock(config.home)
    chain = await asyncio.to_thread(join_chain, config, keys.account)
    api_file = config.home / "api.json"
    try:
        config = await asyncio.to_thread(join_neighbour, config)
        node = build(config, keys, chain)
        async with AsyncExitStack() as stack:
            await node.network.start()
            stack.push_async_callback(node.network.stop)
            token, hosts = secrets.token_urlsafe(32), set[str]()
            app = make_app(node.operations.table(), token, hosts, lambda: not node.network.failed.is_set())
            port = await stack.enter_async_context(serve(app, config.api_port))
            hosts |= {f"127.0.0.1:{port}", f"localhost:{port}"}
            url = f"http://127.0.0.1:{port}"
            node.operations.dashboard = lambda: url + issue_login_path(app)
            group = await stack.enter_async_context(asyncio.TaskGroup())
            node.jobs.start(group)
            if config.dev and config.join is None:
                node.operations.ensure_base()
            stack.push_async_callback(node.jobs.stop)
            background = [group.create_task(_recover(node)), group.create_task(_keep_network(node))]
            _write_api_file(api_file, url, token)
            write_addresses(config.home, node.network.addresses)
            _welcome(config, node, url + issue_login_path(app))
            await _until_signal()
            for task in background:
                task.cancel()
    finally:
        api_file.unlink(missing_ok=True)
        await asyncio.to_thread(leave_chain, config, chain)
    return 0


async def _until_signal() -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    await stop.wait()


async def _recover(node: Node) -> None:
    """Settle what a crash left open, then announce what this node sells, again and again."""
    while True:
        try:
            await node.treasury.recover()
            for record in node.publisher.published():
                await node.publisher.share(record)
                await node.publisher.announce(record)
            await node.network.catch_up()
            await asyncio.sleep(_REANNOUNCE_SECONDS)
        except UnreachableError as error:
            log.warning("chain or network is down: %s", error.message)
            await asyncio.sleep(_RETRY_SECONDS)
        except VizNodeError as error:
            log.warning("recovery: %s", error.message)
            await asyncio.sleep(_RETRY_SECONDS)


async def _keep_network(node: Node) -> None:
    """Start the network's core again when it died; the API stays up and says so."""
    while True:
        await node.network.failed.wait()
        log.error("the peer network ended and is started again")
        await asyncio.sleep(1)
        try:
            await node.network.start()
        except VizNodeError as error:
            log.error("the peer network does not start: %s", error.message)
            await asyncio.sleep(_RETRY_SECONDS)


def _write_api_file(path: Path, url: str, token: str) -> None:
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    path.write_text(json.dumps({"url": url, "token": token, "pid": os.getpid()}))


def _welcome(config: Config, node: Node, login: str) -> None:
    home = config.home
    console = Console(highlight=False)
    console.print(f"[bold]viz-node is running[/bold] on {home}")
    console.print(f"  peer       {node.network.peer_id}")
    console.print(f"  account    {node.operations.account}")
    console.print(f"  addresses  {' '.join(node.network.addresses)}")
    console.print(f"  dashboard  {login}  (this link works once)")
    if config.dev:
        console.print(f"  chain      {node.operations.facts['rpc_url']}  test money only")
    console.print("\nNext, in another terminal:")
    console.print(f"  viz-node --home {home} content add FOLDER --rights owned --author YOU")
    console.print(f"  viz-node --home {home} train NAME --content all")
    console.print("Stop with Ctrl-C.")
