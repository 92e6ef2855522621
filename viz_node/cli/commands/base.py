"""`viz-node base`: the base models that adapters are trained on."""

from typing import Any

import click

from viz_node.cli.terminal import Terminal, detach_option, json_option, pass_terminal
from viz_node.errors import NotFoundError, UsageError

_LEAST_DIGITS = 6


@click.group("base")
def base_command() -> None:
    """Base models: list, show, use, build."""


@base_command.command("list")
@json_option
@pass_terminal
def list_bases(terminal: Terminal) -> None:
    """List the base models on this machine."""
    rows = terminal.client.call_list("base_list")
    columns = [name for name in rows[0] if not isinstance(rows[0][name], dict | list)] if rows else []
    terminal.output.rows(rows, columns, "" if rows else _why_none(terminal))


def _why_none(terminal: Terminal) -> str:
    """What comes, or what to do, where no base model is installed yet."""
    jobs = () if terminal.output.is_json else terminal.client.call_list("jobs_list")
    for job in jobs:
        if job["kind"] == "base_build" and job["state"] in ("queued", "running"):
            return f"no base model yet; the small one is being built: viz-node jobs show {job['job_id']} --follow"
    return "no base model yet; build the small one: viz-node base build"


@base_command.command("show")
@click.argument("name")
@json_option
@pass_terminal
def show(terminal: Terminal, name: str) -> None:
    """Show the base model NAME and its origin."""
    terminal.output.body(_found(terminal, name))


def _found(terminal: Terminal, name: str) -> dict[str, Any]:
    """The base model of that name, or whose digest begins so. Raises: NotFoundError, UsageError (of several)."""
    rows = terminal.client.call_list("base_list")
    named = [row for row in rows if row.get("name") == name]
    alike = [row for row in rows if len(name) >= _LEAST_DIGITS and str(row.get("digest", "")).startswith(name.lower())]
    if len(named or alike) > 1:
        raise UsageError(f"more than one base model is called {name!r}", "give more digits of its digest")
    for row in named or alike:
        return row
    raise NotFoundError(f"no base model is called {name!r}", "viz-node base list")


@base_command.command("use")
@click.argument("name")
@json_option
@pass_terminal
def use(terminal: Terminal, name: str) -> None:
    """Make NAME (or the model with this digest) the default base model of `train`."""
    base = terminal.client.call("base_use", base=str(_found(terminal, name).get("digest") or name))
    if terminal.output.is_json:
        terminal.output.document(base)
    terminal.output.line(f"the default base model is {base.get('name', name)} now; adapters trained before keep theirs")


@base_command.command("build")
@click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The same seed gives the same model."
)
@detach_option
@json_option
@pass_terminal
def build(terminal: Terminal, seed: int, detach: bool) -> None:
    """Build the small base model from generated text under CC0, with a provenance record."""
    job = terminal.run_job(terminal.client.call("base_build", seed=seed), detach)
    if job is not None:
        terminal.output.result(job)
