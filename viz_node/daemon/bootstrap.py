"""How nodes on this machine find each other, and this one itself: addresses, the port of last time, base models."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from shlex import quote

from viz_node.daemon.config import Config
from viz_node.errors import NodeNotRunningError
from viz_node.files import write_whole
from viz_node.tcp import choose_port, is_free

ADDRESSES = "addresses.json"
API_PORT = "dashboard.port"
MOVED = "another one"
_NEAR_BY = 20


def join_neighbour(config: Config) -> Config:
    """The configuration with the neighbour's addresses as bootstrap; its base models are copied once.

    Raises: NodeNotRunningError.
    """
    if config.join is None:
        return config
    try:
        addresses = json.loads((config.join / ADDRESSES).read_text())
    except (OSError, ValueError) as error:
        raise NodeNotRunningError(
            f"no node runs on {config.join}", f"viz-node --home {quote(str(config.join))} start --dev"
        ) from error
    for source in sorted((config.join / "bases").glob("*/provenance.json")):
        copy_base(source.parent, config.home / "bases" / source.parent.name)
    return replace(config, bootstrap=(*config.bootstrap, *addresses))


def keep_port(config: Config) -> Config:
    """A node that may have any port takes that of last time again while it is free, so that peers find it."""
    given = re.fullmatch(r"/ip4/([0-9.]+)/tcp/0", config.listen)
    if given is None:
        return config
    try:
        known = re.search(r"/tcp/(\d{1,5})/", (config.home / ADDRESSES).read_text(errors="replace"))
    except OSError:
        known = None
    port = int(known[1]) if known is not None and is_free(int(known[1]), given[1]) else choose_port(given[1])
    origins = {**config.origins, "listen": "the port of last time"}
    return replace(config, listen=f"/ip4/{given[1]}/tcp/{port}", origins=origins)


def keep_api_port(config: Config) -> Config:
    """The dashboard on the port of last time; on another one near by only while that is taken, which is then said."""
    if config.api_port:
        return config
    path = config.home / API_PORT
    try:
        known = int(path.read_text()[:5])
    except (OSError, ValueError):
        known = 0
    if not 1024 <= known <= 65535:
        port = choose_port()
        write_whole(path, str(port).encode())
        return _with_api_port(config, port, "the port of every start")
    port = next((port for port in range(known, min(known + _NEAR_BY, 65536)) if is_free(port)), 0)
    said = "the port of every start" if port == known else f"{MOVED}: port {known} of last time is taken"
    return _with_api_port(config, port, said)


def _with_api_port(config: Config, port: int, origin: str) -> Config:
    return replace(config, api_port=port, origins={**config.origins, "api_port": origin})


def copy_base(source: Path, target: Path) -> None:
    """Copy a base model, whole or not at all; one that is there stays as it is."""
    if source.suffix == ".partial" or target.exists():
        return
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial)
    partial.rename(target)


def write_addresses(home: Path, addresses: list[str]) -> None:
    """Leave the node's addresses for neighbours on this machine."""
    write_whole(home / ADDRESSES, json.dumps(addresses).encode())
