"""`viz-node base`: the base models that adapters are trained on."""

import click

from viz_node.cli.terminal import Terminal, detach_option, json_option, pass_terminal
from viz_node.errors import NotFoundError


@click.group("base")
def base_command() -> None:
    """Base models: list, show, build."""


@base_command.command("list")
@json_option
@pass_terminal
def list_bases(terminal: Terminal) -> None:
    """The base models on this machine."""
    rows = terminal.client.call_list("base_list")
    columns = [name for name in rows[0] if not isinstance(rows[0][name], dict | list)] if rows else []
    terminal.output.rows(rows, columns, "no base model yet; build the small one: viz-node base build")


@base_command.command("show")
@click.argument("name")
@json_option
@pass_terminal
def show(terminal: Terminal, name: str) -> None:
    """The base model NAME and where it comes from."""
    for row in terminal.client.call_list("base_list"):
        if row.get("name") == name or (len(name) >= 6 and str(row.get("digest", "")).startswith(name)):
            terminal.output.body(row)
            return
    raise NotFoundError(f"no base model is called {name!r}", "viz-node base list")


@base_command.command("build")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Same seed, same model.")
@detach_option
@json_option
@pass_terminal
def build(terminal: Terminal, seed: int, detach: bool) -> None:
    """Make the small base model here, from generated text under CC0, with a provenance record."""
    job = terminal.run_job(terminal.client.call("base_build", seed=seed), detach)
    if job is not None:
        terminal.output.result(job)
