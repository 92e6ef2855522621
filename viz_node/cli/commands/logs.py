"""`viz-node logs`."""

import click

from viz_node.cli.terminal import Terminal, pass_terminal

MOST_LINES = 100_000


@click.command("logs")
@click.option("--follow", "-f", is_flag=True, help="Print new lines until Ctrl-C.")
@click.option(
    "--lines",
    "-n",
    type=click.IntRange(0, MOST_LINES),
    default=50,
    show_default=True,
    help="Number of lines to print first.",
)
@pass_terminal
def logs_command(terminal: Terminal, follow: bool, lines: int) -> None:
    """Print the end of the node's log, even if the node is off. The log is in HOME/logs and rotates at 8 MiB."""
    from viz_node.daemon import logs

    for line in logs.last_lines(terminal.home, lines):
        terminal.output.text(line)
    if follow:
        for line in logs.follow(terminal.home):
            terminal.output.text(line)
