"""Configuration, read once: flags, then environment, then `config.toml`; the only reader of the environment."""

import os
import tomllib
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from viz_node.errors import UsageError

ROOT = Path(__file__).resolve().parents[2]
ANVIL = ROOT / "contracts" / "node_modules" / "@foundry-rs" / "anvil-linux-amd64" / "bin" / "anvil"


LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
LISTS = ("bootstrap", "rpc_urls")
BLOCK_TAGS = ("latest", "safe", "finalized")
MAX_DEPTH = 10_000
MAX_SIGNER_SECONDS = 600
MAX_PASSPHRASE_CHARACTERS = 4096


@dataclass(frozen=True)
class Config:
    """Every option of a node. `rpc_urls` and `deployment` name the chain; empty means none unless `dev`.

    `show_at` and `book_at` say when a block counts: a tag of the chain, or blocks below the latest.
    """

    home: Path
    dev: bool = False
    join: Path | None = None
    api_port: int = 0
    listen: str = "/ip4/127.0.0.1/tcp/0"
    bootstrap: tuple[str, ...] = ()
    rpc_urls: tuple[str, ...] = ()
    show_at: str | int = "safe"
    book_at: str | int = "finalized"
    deployment: str = ""
    signer_url: str = ""
    signer_account: str = ""
    signer_timeout_seconds: int = 30
    log_level: str = "INFO"


def load_config(home: Path, **flags: Any) -> Config:
    """The configuration of a home. Raises: UsageError that names file and option."""
    path = home / "config.toml"
    values = _read_options(path)
    for name in ("rpc_urls", "deployment", "listen", "log_level"):
        variable = f"VIZ_NODE_{name.upper()}"
        text = os.environ.get(variable)
        if text:
            value = text.split(",") if name in LISTS else text
            _check_option(variable, name, value)
            values[name] = value
    values |= {name: value for name, value in flags.items() if value is not None}
    for name in LISTS:
        values[name] = tuple(values.get(name, ()))
    return Config(home=home, **values)


def _read_options(path: Path) -> dict[str, Any]:
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", f"mend or remove {path}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}", "compare it with configs/node.example.toml") from error
    names = {field.name for field in fields(Config)} - {"home", "dev", "join"}
    unknown = sorted(set(values) - names)
    if unknown:
        raise UsageError(f"{path} has unknown options: {', '.join(unknown)}", f"known are {', '.join(sorted(names))}")
    for name, value in values.items():
        _check_option(str(path), name, value)
    return values


def _check_option(place: str, name: str, value: Any) -> None:
    """Raises: UsageError unless the value fits the option."""
    if name == "api_port":
        fits, wanted = type(value) is int and 0 <= value <= 65535, "a port from 0 to 65535"
    elif name == "signer_timeout_seconds":
        fits = type(value) is int and 1 <= value <= MAX_SIGNER_SECONDS
        wanted = f"seconds from 1 to {MAX_SIGNER_SECONDS}"
    elif name in LISTS:
        fits = isinstance(value, list) and all(isinstance(item, str) for item in value)
        wanted = "a list of addresses in quotes"
    elif name in ("show_at", "book_at"):
        fits = value in BLOCK_TAGS or (type(value) is int and 0 <= value <= MAX_DEPTH)
        wanted = f"one of {', '.join(BLOCK_TAGS)}, or a number of blocks from 0 to {MAX_DEPTH}"
    elif name == "log_level":
        fits, wanted = value in LOG_LEVELS, f"one of {', '.join(LOG_LEVELS)}"
    else:
        fits, wanted = isinstance(value, str), "text in quotes"
    if not fits:
        raise UsageError(f"{place}: {name} is {value!r}, not {wanted}", "compare it with configs/node.example.toml")


def passphrase() -> str | None:
    """The keystore's passphrase from the file that VIZ_NODE_PASSPHRASE_FILE names, if any. Raises: UsageError."""
    path = os.environ.get("VIZ_NODE_PASSPHRASE_FILE")
    return read_passphrase(Path(path), "mend VIZ_NODE_PASSPHRASE_FILE") if path else None


def read_passphrase(path: Path, hint: str) -> str:
    """The file's first line. Raises: UsageError."""
    try:
        with path.open(encoding="utf-8") as file:
            text = file.readline(MAX_PASSPHRASE_CHARACTERS + 1).rstrip("\r\n")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} holds no passphrase: it is not text", hint) from error
    if not 0 < len(text) <= MAX_PASSPHRASE_CHARACTERS:
        raise UsageError(f"{path} holds no passphrase: its first line is empty or too long", hint)
    return text


def worker_environment(threads: int, flower_home: Path) -> dict[str, str]:
    """The environment of child processes: nothing calls home, and OpenMP does not spin."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "TMPDIR", "HF_HOME") if name in os.environ}
    return kept | {
        "HF_HUB_OFFLINE": "1",
        "TRANSFORMERS_OFFLINE": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        "DO_NOT_TRACK": "1",
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
        "TOKENIZERS_PARALLELISM": "false",
        "OMP_NUM_THREADS": str(threads),
        "OMP_WAIT_POLICY": "PASSIVE",
        "PYTHONUNBUFFERED": "1",
        "FLWR_TELEMETRY_ENABLED": "0",
        "FLWR_DISABLE_UPDATE_CHECK": "1",
        "FLWR_DISABLE_RUNTIME_DEPENDENCY_INSTALLATION": "1",
        "FLWR_HOME": str(flower_home),
    }


def hub_environment() -> dict[str, str]:
    """What the one child that downloads from a model hub gets besides: the way out, and the caller's own access."""
    names = ("HF_ENDPOINT", "HF_TOKEN", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
    kept = {name: os.environ[name] for name in names if name in os.environ}
    return kept | {"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "0"}
