"""What a node needs, checked whether it runs or not; each failure comes with its fix."""

import importlib.util
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from viz_node.daemon.config import ANVIL, load_config
from viz_node.errors import VizNodeError
from viz_node.identity.keystore import read_names
from viz_node.models.bases import list_bases

_NEEDED_BYTES = 2 * 1024**3


def check(home: Path) -> list[dict[str, Any]]:
    """Rows `{"check", "state": ok|warn|fail, "detail", "fix"}`; never raises for a home that is not well."""
    disk = shutil.disk_usage(home if home.exists() else home.parent)
    anvil = shutil.which("anvil") or (str(ANVIL) if ANVIL.exists() else "")
    rows = [
        _row("python", sys.version_info >= (3, 11), sys.version.split()[0], "install Python 3.11 or newer"),
        _row("disk space", disk.free > _NEEDED_BYTES, f"{disk.free / 1024**3:.1f} GiB free", "free at least 2 GiB"),
        _row("local chain", bool(anvil), anvil or "anvil is missing", "run `npm ci` in contracts/", "warn"),
        _row("training", _has("torch", "bitsandbytes", "peft"), "torch, bitsandbytes, peft", "make setup"),
        _row("federation", _has("flwr"), "flwr", "make setup", "warn"),
    ]
    return rows + _home_rows(home)


def _home_rows(home: Path) -> list[dict[str, Any]]:
    if not home.exists():
        return [_row("home", False, f"{home} is not there yet", "viz-node start --dev", "warn")]
    mode = home.stat().st_mode & 0o077
    bases = list_bases(home / "bases")
    rows = [
        _row("home is private", mode == 0, f"mode {home.stat().st_mode & 0o777:o}", f"chmod 700 {home}"),
        _row(
            "base model",
            bool(bases),
            ", ".join(str(base["name"]) for base in bases) or "none",
            "viz-node base build",
            "warn",
        ),
        _row("home is writable", os.access(home, os.W_OK), str(home), f"chown it to you: {home}"),
    ]
    for name, action in (
        ("configuration", lambda: load_config(home)),
        ("keystore", lambda: read_names(home / "keys" / "keystore.json")),
    ):
        try:
            action()
            rows.append(_row(name, True, "readable", ""))
        except VizNodeError as error:
            rows.append(_row(name, False, error.message, error.hint or "viz-node start"))
    return rows


def _has(*modules: str) -> bool:
    return all(importlib.util.find_spec(module) is not None for module in modules)


def _row(name: str, good: bool, detail: str, fix: str, bad: str = "fail") -> dict[str, Any]:
    return {"check": name, "state": "ok" if good else bad, "detail": detail, "fix": "" if good else fix}
