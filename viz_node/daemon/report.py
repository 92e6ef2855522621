"""One file for a bug report: what was checked, versions, configuration, jobs that failed, the end of the log; redacted.

Nothing in it may be a key, a passphrase, a text, a title, an author, a name or a place. The report replaces known
private values wherever they occur, and whatever looks private: long hex, quoted text, paths and addresses. The
program's own words remain.
"""

import getpass
import importlib.metadata
import json
import os
import platform
import re
import socket
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from viz_node import __version__
from viz_node.daemon.clock import now
from viz_node.daemon.config import describe_config, load_config, secret_values
from viz_node.daemon.logs import last_lines
from viz_node.domain.answer import as_json
from viz_node.domain.job import JobState
from viz_node.errors import StorageError, VizNodeError, already_there
from viz_node.storage.peek import Glance, glance

LOG_LINES = 400
_MOST_JOBS = 50
_PACKAGES = ("aiohttp", "bitsandbytes", "click", "flwr", "libp2p", "peft", "torch", "transformers", "trio", "web3")
_LONG_HEX = re.compile(r"(?<![0-9a-zA-Z])(?:0x)?[0-9a-fA-F]{24,}(?![0-9a-zA-Z])")
_ACCOUNT = re.compile(r"\b0x([0-9a-fA-F]{4})[0-9a-fA-F]{36}\b")
_PEER = re.compile(r"\b(?:12D3KooW|Qm)[1-9A-HJ-NP-Za-km-z]{20,}")
_TOKEN = re.compile(r"(?<![\w/-])[\w-]{32,}(?![\w/-])")
_URL = re.compile(r"\b([a-z][a-z0-9+.-]{1,15})://([^\s'\"<>]*)")
_IP = re.compile(
    r"(?<![\d.])(?!127\.)(?!0\.0\.0\.0)\d{1,3}(?:\.\d{1,3}){3}(?![\d.])|\b(?:[0-9a-fA-F]{1,4}:){3,7}[0-9a-fA-F]{0,4}"
)
_QUOTED = re.compile(r"'[^'\n]*'|\"[^\"\n]*\"|“[^”\n]*”|‘[^’\n]*’|«[^»\n]*»")
_PATH = re.compile(r"(?<![\w.<])~?/(?!ip4/|ip6/|dns)[^\n'\"`]*?(?=: |, |; | \(|['\"`\n]|$)")
_CODE = re.compile(r'^ *File "(?:.*/)?((?:viz_node|site-packages|python3\.\d+)/[^"]*)", line (\d+), in (\S+)')
_EXCEPTION = re.compile(r"^((?:\w+\.)*\w*(?:Error|Exception|Exit|Interrupt|Warning|Group))(?::.*)?$")
# Replaces the slashes of addresses that may stay, while paths are removed.
_SLASHES = "\ue000"
_LINE = re.compile(r"^(\d{4}-\d\d-\d\d \d\d:\d\d:\d\d,\d+) ([A-Z]+) ([\w.]+): (.*)$")


class Redactor:
    """Removes private values from texts; `words` are replaced wherever they occur."""

    def __init__(self, words: Iterable[str]) -> None:
        parts = {part for word in words for part in (word, json.dumps(word)[1:-1], repr(word)[1:-1]) if len(part) > 1}
        ordered = sorted(parts, key=len, reverse=True)
        self._words = re.compile("|".join(map(re.escape, ordered)), re.IGNORECASE) if ordered else None

    def text(self, text: str) -> str:
        """The text without anything that is or looks private."""
        text = self._words.sub("<private>", text) if self._words else text
        text = _QUOTED.sub("<quoted>", text)
        text = _URL.sub(lambda found: f"{found[1]}:{_SLASHES}{_host_of(found[2])}", text)
        text = _PATH.sub("<path>", text)
        text = _ACCOUNT.sub(r"0x\1…", text)
        for pattern, name in ((_LONG_HEX, "<hex>"), (_PEER, "<peer>"), (_IP, "<ip>"), (_TOKEN, "<token>")):
            text = pattern.sub(name, text)
        return text.replace(_SLASHES, "//")

    def data(self, value: Any) -> Any:
        """The value with every text in its lists and objects redacted."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, dict):
            return {key: self.data(item) for key, item in value.items()}
        return [self.data(item) for item in value] if isinstance(value, list | tuple) else value

    def log(self, lines: Iterable[str]) -> list[str]:
        """Lines of a log: what was said, and of tracebacks where it happened and the class of the error."""
        kept = []
        for line in lines:
            said, code, error = _LINE.match(line), _CODE.match(line), _EXCEPTION.match(line)
            if said is not None:
                kept.append(f"{said[1]} {said[2]} {said[3]}: {self.text(said[4])}")
            elif code is not None:
                kept.append(f"  {code[1]}:{code[2]} {code[3]}")
            elif error is not None:
                kept.append(error[1])
        return kept


def _host_of(rest: str) -> str:
    host = rest.partition("/")[0].rpartition("@")[2]
    return host if host.startswith(("127.", "localhost", "[::1]")) else "<host>"


def write_report(home: Path, checks: list[dict[str, Any]], target: Path) -> None:
    """Write the file, which must not exist yet, mode 0600. Raises: RefusedError (it exists), StorageError."""
    state = _state(home)
    redactor = Redactor(_private_words(home, state))
    body = {
        "written": now(),
        "versions": _versions(),
        "checks": redactor.data(checks),
        "configuration": redactor.data(_configuration(home)),
        "jobs": redactor.data(_jobs(state)),
        "log": redactor.log(_log(home)),
    }
    try:
        descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(json.dumps(body, indent=1, ensure_ascii=False) + "\n")
    except FileExistsError as error:
        raise already_there(target, "choose another --report FILE") from error
    except OSError as error:
        raise StorageError(f"cannot write {target}: {error.strerror}", "choose another --report FILE") from error


def _versions() -> dict[str, str]:
    versions = {"viz-node": __version__, "python": platform.python_version(), "system": platform.platform()}
    for name in _PACKAGES:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = "absent"
    return versions


def _state(home: Path) -> Glance | None:
    try:
        return glance(home / "node.db")
    except VizNodeError:
        return None


def _private_words(home: Path, state: Glance | None) -> set[str]:
    words = {str(home), str(home.absolute()), str(Path.home()), _user(), socket.gethostname(), *secret_values(home)}
    words |= state.private_words if state else set()
    # Words of a title stand alone where a path or a message was cut; very short ones would take the sense out of all.
    words |= {part for word in words for part in re.split(r"[\s/]+", word) if len(part) > 5}
    return {word for word in words if len(word) > 2 and word not in ("root", "home", "viz-node")}


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return ""


def _configuration(home: Path) -> Any:
    try:
        return as_json(describe_config(load_config(home)))
    except VizNodeError as error:
        return [{"error": error.message}]


def _jobs(state: Glance | None) -> list[dict[str, str | int]]:
    failed = state.jobs_in(JobState.FAILED) if state else []
    shown = failed[:_MOST_JOBS]
    return [{"kind": job.kind, "state": job.state, "error": job.error, "updated": job.updated} for job in shown]


def _log(home: Path) -> list[str]:
    try:
        return last_lines(home, LOG_LINES)
    except VizNodeError:
        return []
