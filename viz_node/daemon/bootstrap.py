"""How a second development node finds the first: its addresses, and its base models."""

import json
import shutil
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
