"""`viz-node notice`: complaints about adapters, and their owners' answers."""

import hashlib
from pathlib import Path
from typing import Any

import click

from viz_node.cli.confirm import may_spend, spending_options
from viz_node.cli.terminal import Terminal, json_option, pass_terminal
from viz_node.errors import UsageError
from viz_node.files import read_regular_file

MAX_TEXT_BYTES = 64 * 1024 * 1024

_text = click.argument("text", type=click.Path(exists=True, dir_okay=False, path_type=Path))


@click.group("notice")
def notice_command() -> None:
    """Record complaints about adapters, and owners' answers, permanently on the chain as digests of texts."""


@notice_command.command("show")
@click.argument("adapter")
@json_option
@pass_terminal
def show(terminal: Terminal, adapter: str) -> None:
    """Show the notices on record about ADAPTER."""
    rows = terminal.client.call_list("notice_show", adapter=adapter)
    terminal.output.rows(rows, ("notice", "answers", "sender", "digest"), "nothing is on record")


@notice_command.command("file")
@click.argument("adapter")
@_text
@spending_options
@json_option
@pass_terminal
def file(terminal: Terminal, adapter: str, text: Path, yes: bool, dry_run: bool) -> None:
    """Record the digest of TEXT, a complaint about ADAPTER; keep the file and send it to the owner."""
    _file(terminal, {"adapter": adapter, "digest": _digest(text), "answers": None}, yes, dry_run)


@notice_command.command("counter")
@click.argument("adapter")
@click.argument("number", type=click.IntRange(1))
@_text
@spending_options
@json_option
@pass_terminal
def counter(terminal: Terminal, adapter: str, number: int, text: Path, yes: bool, dry_run: bool) -> None:
    """Record the digest of TEXT, the owner's answer to notice NUMBER about ADAPTER."""
    _file(terminal, {"adapter": adapter, "digest": _digest(text), "answers": number}, yes, dry_run)


def _file(terminal: Terminal, order: dict[str, Any], yes: bool, dry_run: bool) -> None:
    if may_spend(terminal, lambda: terminal.client.call_list("plan_notice", **order), yes, dry_run):
        job = terminal.run_job(terminal.client.call("notice_file", **order), False) or {}
        terminal.output.result(job)


def _digest(path: Path) -> str:
    try:
        raw = read_regular_file(path, MAX_TEXT_BYTES)
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "check the file") from error
    if not raw.strip():
        raise UsageError(f"{path} is empty", "write the complaint, or the answer, into it first")
    return hashlib.sha256(raw).hexdigest()
