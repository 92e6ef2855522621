"""How nodes on this machine find each other, and this one itself: addresses, the port of last time, base models."""

import json
import re
import shutil
import socket
from dataclasses import replace
from pathlib import Path

from viz_node.daemon.config import Config
from viz_node.errors import NodeNotRunningError

ADDRESSES = "addresses.json"


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
            f"no node runs on {config.join}", f"viz-node --home {config.join} start --dev"
        ) from error
    for source in sorted((config.join / "bases").glob("*/provenance.json")):
        _copy_base(source.parent, config.home / "bases" / source.parent.name)
    return replace(config, bootstrap=(*config.bootstrap, *addresses))


def keep_port(config: Config) -> Config:
    """A node whose port the system chooses takes that of last time again while it is free, so that peers find it."""
    given = re.fullmatch(r"/ip4/([0-9.]+)/tcp/0", config.listen)
    if given is None:
        return config
    try:
        known = re.search(r"/tcp/(\d{1,5})/", (config.home / ADDRESSES).read_text(errors="replace"))
    except OSError:
        return config
    if known is None or not _is_free(given[1], int(known[1])):
        return config
    return replace(config, listen=f"/ip4/{given[1]}/tcp/{known[1]}")


def _is_free(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except (OSError, OverflowError):
            return False
    return True


def _copy_base(source: Path, target: Path) -> None:
    if source.suffix == ".partial" or target.exists():
        return
    partial = target.with_suffix(".partial")
    shutil.rmtree(partial, ignore_errors=True)
    shutil.copytree(source, partial)
    partial.rename(target)


def write_addresses(home: Path, addresses: list[str]) -> None:
    """Leave the node's addresses for neighbours on this machine."""
    (home / ADDRESSES).write_text(json.dumps(addresses))
