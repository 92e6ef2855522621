"""Configuration, read once: flags, then environment, then `config.toml`; the only reader of the environment."""

import json
import os
import platform
import re
import reprlib
import site
import sysconfig
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from viz_node.domain.ids import parse_amount
from viz_node.domain.option import ShownOption
from viz_node.domain.peer_address import parse_all_announced, parse_listen
from viz_node.domain.training import AUTO
from viz_node.errors import UsageError
from viz_node.files import MAX_TOML_BYTES, read_regular_file, read_toml

ROOT = Path(__file__).resolve().parents[2]
_MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "arm64": "arm64"}


def platform_name() -> str:
    """Of this machine, as the packages spell it: `linux-amd64`, `darwin-arm64`, …"""
    return f"{platform.system().lower()}-{_MACHINES.get(platform.machine(), platform.machine())}"


def program_in(directory: Path, name: str = "anvil") -> Path:
    """Where npm puts Foundry's program for this platform below a folder."""
    return directory / "node_modules" / "@foundry-rs" / f"{name}-{platform_name()}" / "bin" / name


ANVIL = program_in(ROOT / "contracts")
"""The program of this checkout, which may not be there."""

LOG_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
ENVIRONMENT_OPTIONS = ("rpc_urls", "deployment", "listen", "announce", "log_level")
HUB_VARIABLES = ("HF_ENDPOINT", "HF_TOKEN", "HTTPS_PROXY", "NO_PROXY", "SSL_CERT_FILE", "REQUESTS_CA_BUNDLE")
WORKER_VARIABLES = (
    *("PATH", "HOME", "LANG", "TMPDIR", "HF_HOME"),
    *("CUDA_VISIBLE_DEVICES", "CUDA_DEVICE_ORDER", "LD_LIBRARY_PATH", "BNB_CUDA_VERSION"),
)
# A proxy's address may carry a password.
SECRETS = ("HF_TOKEN", "HTTPS_PROXY")
INSTALLED_EXAMPLES = "share/viz-node/configs"
LISTS = ("announce", "bootstrap", "rpc_urls")
BLOCK_TAGS = ("latest", "safe", "finalized")
MAX_DEPTH = 10_000
MAX_IDLE_SECONDS = 86_400
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
    announce: tuple[str, ...] = ()
    bootstrap: tuple[str, ...] = ()
    rpc_urls: tuple[str, ...] = ()
    show_at: str | int = "safe"
    book_at: str | int = "finalized"
    deployment: str = ""
    signer_url: str = ""
    signer_account: str = ""
    signer_timeout_seconds: int = 30
    coin_price: str = "4000"
    device: str = AUTO
    model_idle_seconds: int = 300
    log_level: str = "INFO"
    origins: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)
    """Where each value that is not the default comes from."""


def load_config(home: Path, **flags: Any) -> Config:
    """The configuration of a home. Raises: UsageError that names file and option."""
    path = home / "config.toml"
    values = _read_options(path)
    origins = {name: f"{path}{_line_of(path, name)}" for name in values}
    for name in ENVIRONMENT_OPTIONS:
        variable = f"VIZ_NODE_{name.upper()}"
        text = os.environ.get(variable)
        if text:
            value = text.split(",") if name in LISTS else text
            _check_option(variable, name, value)
            values[name], origins[name] = value, f"environment: {variable}"
    given = {name: value for name, value in flags.items() if value is not None}
    if "listen" in given:
        _check_option("command line", "listen", given["listen"])
    values |= given
    origins |= dict.fromkeys(given, "command line")
    for name in LISTS:
        values[name] = tuple(values.get(name, ()))
    return Config(home=home, **values, origins=origins)


def describe_config(config: Config) -> list[ShownOption]:
    """Rows of option, value and origin, in the order of `Config`; what addresses carry besides their host is hidden."""
    names = [field.name for field in fields(Config) if field.name not in ("home", "origins")]
    rows = [
        ShownOption(name, _shown(name, getattr(config, name)), config.origins.get(name, "default")) for name in names
    ]
    return rows + [
        ShownOption(name, "set" if name in SECRETS else os.environ[name], "environment")
        for name in ("VIZ_NODE_PASSPHRASE_FILE", *HUB_VARIABLES)
        if os.environ.get(name)
    ]


def _shown(name: str, value: Any) -> object:
    if name in ("rpc_urls", "signer_url"):
        urls = [without_secrets(url) for url in ([value] if isinstance(value, str) else value)]
        return urls[0] if isinstance(value, str) else urls
    if isinstance(value, Path):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def without_secrets(url: str) -> str:
    """The address without user, path and query, where providers put their keys."""
    try:
        parts = urlsplit(url)
        host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
        plain = f"{parts.scheme}://{host}" + (f":{parts.port}" if parts.port else "")
    except ValueError:
        return "…"
    if not parts.hostname:
        return "…" if url else ""
    return plain if url.rstrip("/") == plain else f"{plain}/…"


def _line_of(path: Path, name: str) -> str:
    """`:N` when the option stands at the start of line N, else nothing."""
    lines = path.read_text(encoding="utf-8").splitlines()
    number = next((number for number, line in enumerate(lines, 1) if re.match(rf"\s*{name}\s*=", line)), None)
    return "" if number is None else f":{number}"


def _read_options(path: Path) -> dict[str, Any]:
    if not os.path.lexists(path):
        return {}
    values = read_toml(path, f"mend or remove {path}; viz-node config example prints a right one")
    names = {field.name for field in fields(Config)} - {"home", "dev", "join", "origins"}
    unknown = sorted(set(values) - names)
    if unknown:
        raise UsageError(
            f"{path} has unknown options: {', '.join(unknown)[:200]}", f"known are {', '.join(sorted(names))}"
        )
    for name, value in values.items():
        _check_option(str(path), name, value)
    return values


def example_files() -> dict[str, Path]:
    """The commented examples of configuration, recipes and terms, by name: of the checkout, or as installed."""
    bases = [Path(sysconfig.get_path("data")), Path(site.getuserbase())]
    places = [ROOT / "configs", *(base / INSTALLED_EXAMPLES for base in bases)]
    place = next((place for place in places if place.is_dir()), places[0])
    return {path.stem.removesuffix(".example"): path for path in sorted(place.rglob("*.toml"))}


def _check_option(place: str, name: str, value: Any) -> None:
    """Raises: UsageError unless the value fits the option."""
    if name == "api_port":
        fits, wanted = type(value) is int and 0 <= value <= 65535, "a port from 0 to 65535"
    elif name == "signer_timeout_seconds":
        fits = type(value) is int and 1 <= value <= MAX_SIGNER_SECONDS
        wanted = f"seconds from 1 to {MAX_SIGNER_SECONDS}"
    elif name == "model_idle_seconds":
        fits = type(value) is int and 0 <= value <= MAX_IDLE_SECONDS
        wanted = f"seconds from 0 to {MAX_IDLE_SECONDS}"
    elif name in LISTS:
        fits = isinstance(value, list) and all(isinstance(item, str) for item in value)
        wanted = "a list of addresses in quotes"
    elif name in ("show_at", "book_at"):
        fits = value in BLOCK_TAGS or (type(value) is int and 0 <= value <= MAX_DEPTH)
        wanted = f"one of {', '.join(BLOCK_TAGS)}, or a number of blocks from 0 to {MAX_DEPTH}"
    elif name == "coin_price":
        fits, wanted = isinstance(value, str) and _is_amount(value), 'an amount in quotes, as "4000"'
    elif name == "device":
        fits = isinstance(value, str) and re.fullmatch(rf"{AUTO}|cpu|cuda:(0|[1-9][0-9]?)", value) is not None
        wanted = '"auto", "cpu", or the number of a GPU, as "cuda:1"'
    elif name == "log_level":
        fits, wanted = value in LOG_LEVELS, f"one of {', '.join(LOG_LEVELS)}"
    else:
        fits, wanted = isinstance(value, str), "text in quotes"
    if fits and name in ("listen", "announce"):
        _check_addresses(place, name, value)
    if not fits:
        raise UsageError(
            f"{place}: {name} is {reprlib.repr(value)}, not {wanted}", "viz-node config example has a right one"
        )


def _check_addresses(place: str, name: str, value: Any) -> None:
    """Raises: UsageError. That a node outside development announces no loopback is checked at its start."""
    try:
        if name == "listen":
            parse_listen(value)
        else:
            parse_all_announced(value, is_public=False)
    except UsageError as error:
        raise UsageError(f"{place}: {name}: {error.message}", error.hint) from error


def _is_amount(text: str) -> bool:
    try:
        parse_amount(text)
    except UsageError:
        return False
    return True


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


def secret_values(home: Path) -> set[str]:
    """Every secret that this program could write somewhere by mistake, for taking it out again; never raises."""
    named = os.environ.get("VIZ_NODE_PASSPHRASE_FILE")
    values = {os.environ.get(name, "") for name in SECRETS}
    for path in filter(None, (home / "keys" / "passphrase", Path(named) if named else None)):
        with suppress(UsageError):
            values.add(read_passphrase(path, ""))
    with suppress(OSError, ValueError, AttributeError, UsageError):
        values.add(str(json.loads(read_regular_file(home / "api.json", MAX_TOML_BYTES)).get("token")))
    with suppress(UsageError):
        config = load_config(home)
        values |= {config.signer_url, *config.rpc_urls, *config.bootstrap}
    return values - {""}


def worker_environment(threads: int, flower_home: Path) -> dict[str, str]:
    """The environment of child processes: nothing calls home, OpenMP does not spin, and CUDA finds what it found."""
    kept = {name: os.environ[name] for name in WORKER_VARIABLES if name in os.environ}
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


def npm_environment() -> dict[str, str]:
    """What npm gets: the caller's own settings, without this program's secrets."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("VIZ_NODE_", "HF_"))}


def hub_environment() -> dict[str, str]:
    """What the one child that downloads from a model hub gets besides: the way out, and the caller's own access."""
    kept = {name: os.environ[name] for name in HUB_VARIABLES if name in os.environ}
    return kept | {"HF_HUB_OFFLINE": "0", "TRANSFORMERS_OFFLINE": "0"}
