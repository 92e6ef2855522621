"""The story in real processes: a holder trains and sells, a peer buys and uses, an auditor re-derives the money."""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from viz_node.daemon.audit import run_audit
from viz_node.errors import DeadlineError, VizNodeError

_START_SECONDS = 30.0
_PLACES = ("the harbour of Elsin", "the tide mill", "the lamp room", "the salt road", "the bell tower", "the long quay")
_PEOPLE = ("The keeper", "The ferrywoman", "The clockmaker", "The pilot's daughter", "The old surveyor")
_DEEDS = (
    "counted the lamps",
    "wrote the tide into her book",
    "mended a sail",
    "waited for the packet boat",
    "lit a pipe",
)


def run_demo(keep: bool) -> int:
    """Run the story and print it; 0 only if every step was verified. Raises: VizNodeError of the step that failed."""
    console = Console(highlight=False)
    root = Path(tempfile.mkdtemp(prefix="viz-node-demo-"))
    holder, peer = root / "holder", root / "peer"
    try:
        with _node(holder), contextlib.ExitStack() as later:
            console.print("[bold]1[/bold] a holder starts a node and adds six texts")
            _write_works(root / "works")
            added = _call(
                holder, "content", "add", str(root / "works"), "--rights", "owned", "--author", "Elsin Archive"
            )
            console.print(f"  {len(added['added'])} works, sealed on disk")
            console.print("[bold]2[/bold] builds the small base model and trains a 4-bit adapter on them")
            _talk(holder, "base", "build")
            _talk(holder, "train", "elsin", "--content", "all")
            console.print("[bold]3[/bold] publishes it for 5.00, 70 to the archive and 30 to its author")
            account, author = _call(holder, "id")["account"], "0x00000000000000000000000000000000000000aa"
            _call(holder, "publish", "elsin", "--price", "5.00", "--split", f"{account}=70,{author}=30")
            console.print("[bold]4[/bold] a peer joins, licenses, fetches and uses it")
            later.enter_context(_node(peer, "--join", str(holder)))
            _until_found(peer, "elsin")
            _call(peer, "license", "elsin", "--max-price", "6.00")
            _call(peer, "fetch", "elsin")
            text = _call(peer, "generate", "elsin", "The keeper")["result"]["text"]
            console.print(f"  [italic]The keeper{text[:160]!s}[/italic]".replace("\n", " "))
            console.print("[bold]5[/bold] the holder claims, and an auditor re-derives everything from the chain alone")
            _call(holder, "royalties", "claim")
            chain = _call(holder, "status")["chain"]
            report = run_audit(chain["rpc_url"], holder / "chain" / "deployment.json", None)
        table = Table("account", "earned", "claimed", "due", title="who received what, in millionths of a test token")
        for total in report.totals:
            table.add_row(total.account, str(total.earned), str(total.claimed), str(total.due))
        console.print(table)
        earned = {total.account: total.earned for total in report.totals}
        verified = report.ok and len(report.sales) == 1 and earned == {account: 3_500_000, author: 1_500_000}
        console.print("verdict: " + ("every sale, split and claim holds" if verified else "NOT verified"))
        return 0 if verified else 1
    finally:
        if keep:
            console.print(f"kept in {root}")
        else:
            shutil.rmtree(root, ignore_errors=True)


@contextlib.contextmanager
def _node(home: Path, *options: str) -> Iterator[None]:
    with (home.parent / f"{home.name}.log").open("ab") as log:
        process = subprocess.Popen([*_command(home), "start", "--dev", *options], stdout=log, stderr=log)
    try:
        _call(home, "wait", "--timeout", str(int(_START_SECONDS)))
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(15)
        except subprocess.TimeoutExpired:
            process.kill()


def _command(home: Path) -> list[str]:
    return [sys.executable, "-m", "viz_node.cli", "--home", str(home)]


def _call(home: Path, *arguments: str) -> Any:
    """Run a command with `--json` and give its answer. Raises: VizNodeError."""
    done = subprocess.run([*_command(home), *arguments, "--json"], capture_output=True, check=False)
    if done.returncode != 0:
        raise VizNodeError(f"`viz-node {' '.join(arguments)}` failed: {(done.stdout + done.stderr).decode()[-400:]}")
    return json.loads(done.stdout or b"null")


def _talk(home: Path, *arguments: str) -> None:
    """Run a command whose progress the reader should see. Raises: VizNodeError."""
    if subprocess.run([*_command(home), *arguments], check=False).returncode != 0:
        raise VizNodeError(f"`viz-node {' '.join(arguments)}` failed")


def _until_found(home: Path, name: str) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not any(row["name"] == name for row in _call(home, "search")):
        if time.monotonic() > deadline:
            raise DeadlineError(f"{name} was not found on the network")
        time.sleep(0.5)


def _write_works(folder: Path) -> None:
    """Six short texts, made here and dedicated to the public domain."""
    folder.mkdir()
    for n, place in enumerate(_PLACES):
        lines = [
            f"{_PEOPLE[(n + i) % 5]} came to {_PLACES[n * i % 6]} at dawn and {_DEEDS[(i * 3 + n) % 5]}. "
            f"Nobody in {place} spoke of the {'winter' if i % 2 else 'summer'} of the {i + 3} storms."
            for i in range(24)
        ]
        blocks = [" ".join(lines[i : i + 4]) for i in range(0, 24, 4)]
        (folder / f"{place.replace(' ', '-')}.txt").write_text("\n\n".join(blocks) + "\n")
