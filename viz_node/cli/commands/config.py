"""`viz-node config`: what the configuration is and where each value comes from."""

import click

from viz_node.cli.terminal import Terminal, json_option, pass_terminal
from viz_node.errors import NodeNotRunningError, NotFoundError


@click.group("config")
def config_command() -> None:
    """Show the node's configuration, or print commented examples."""


@config_command.command("show")
@json_option
@pass_terminal
def show(terminal: Terminal) -> None:
    """Show every option with its value and source: default, file and line, environment or command line.

    These are the values of the running node, or those that the next start would use. Keys in addresses and tokens are
    not shown.
    """
    try:
        rows = terminal.client.call_list("config")
    except NodeNotRunningError:
        from viz_node.daemon.config import describe_config, load_config
        from viz_node.domain.answer import as_json

        rows = as_json(describe_config(load_config(terminal.home)))
    terminal.output.rows(rows, ("option", "value", "origin"))


@config_command.command("example")
@click.argument("name", default="node")
@json_option
@pass_terminal
def example(terminal: Terminal, name: str) -> None:
    """Print a commented example: `node` for HOME/config.toml, `small` for a recipe, `noncommercial` for terms, …"""
    from viz_node.daemon.config import example_files

    files = example_files()
    if name not in files:
        raise NotFoundError(
            f"there is no example {name!r}", f"there are: {', '.join(sorted(files)) or 'none installed'}"
        )
    text = files[name].read_text(encoding="utf-8")
    if terminal.is_json:
        terminal.output.document({"name": name, "path": str(files[name]), "text": text})
    else:
        terminal.output.text(text.rstrip("\n"))
