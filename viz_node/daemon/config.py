"""Configuration, read once: flags, then environment, then `config.toml`; the only reader of the environment."""

import os
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from viz_node.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
ANVIL = ROOT / "contracts" / "node_modules" / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"


@dataclass(frozen=True)
class Config:
    """Every option of a node. `rpc_url` and `deployment` name the chain; empty means none unless `dev`."""

    home: Path
    dev: bool = False
    join: Path | None = None
    api_port: int = 0
    listen: str = "/ip4/127.0.0.1/tcp/0"
    bootstrap: tuple[str, ...] = ()
    rpc_url: str = ""
    deployment: str = ""
    log_level: str = "INFO"


def load_config(home: Path, **flags: Any) -> Config:
    """The configuration of a home. Raises: UsageError that names each unknown option."""
    values: dict[str, Any] = {}
    path = home / "config.toml"
    if path.exists():
        try:
            values = tomllib.loads(path.read_text())
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise UsageError(f"{path}: {error}", "compare it with configs/node.example.toml") from error
    names = {field.name for field in fields(Config)} - {"home", "dev", "join"}
    unknown = sorted(set(values) - names)
    if unknown:
        raise UsageError(f"{path} has unknown options: {', '.join(unknown)}", f"known are {', '.join(sorted(names))}")
    for name in names & {"rpc_url", "deployment", "listen", "log_level"}:
        value = os.environ.get(f"VIZ_NODE_{name.upper()}")
        if value:
            values[name] = value
    values |= {name: value for name, value in flags.items() if value is not None}
    values["bootstrap"] = tuple(values.get("bootstrap", ()))
    return Config(home=home, **values)


def passphrase() -> str | None:
    """The keystore's passphrase from the file that VIZ_NODE_PASSPHRASE_FILE names, if any. Raises: UsageError."""
    path = os.environ.get("VIZ_NODE_PASSPHRASE_FILE")
    if not path:
        return None
    try:
        return Path(path).read_text().rstrip("\n")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "mend VIZ_NODE_PASSPHRASE_FILE") from error


def worker_environment(threads: int, flower_home: Path) -> dict[str, str]:
    """The environment of child processes: nothing calls home, and OpenMP does not spin."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "HF_HOME") if name in os.environ}
    return kept | {
        "HF_HUB_OFFLINE": os.environ.get("HF_HUB_OFFLINE", "1"),
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONUNBUFFERED": "1",
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "FLWR_HOME": str(flower_home),
    }
