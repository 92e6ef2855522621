"""The entry of `viz-node`: the root group, which imports a command only when it runs, and the exit status."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import click

from viz_node import __version__
from viz_node.cli.terminal import Terminal
from viz_node.errors import EXIT_STATUS, VizNodeError, status_for

INTERRUPTED_STATUS = 130

_SECTIONS: dict[str, dict[str, tuple[str, str]]] = {
    "Node": {
        "start": ("node", "Run the node until a signal; --dev adds a local chain and test money."),
        "wait": ("node", "Wait until the node is ready."),
        "status": ("node", "The node at a glance."),
        "peers": ("node", "Peers that this node knows."),
        "id": ("node", "This node's peer id, account and addresses."),
        "config": ("config", "The configuration, each value with its origin: show, example."),
        "keys": ("keys", "The node's keys: show, back up, restore, change the passphrase."),
        "logs": ("logs", "The end of the node's log; -f goes on with new lines."),
        "doctor": ("node", "Check everything the node needs; each failure comes with its fix."),
        "demo": ("node", "The whole story with real node processes, in a few minutes."),
    },
    "Works and training": {
        "content": ("content", "The works that you own: add, list, show, remove."),
        "base": ("base", "Base models: list, show, build."),
        "train": ("training", "Train an adapter on your works."),
        "jobs": ("jobs", "Durable jobs: list, show, cancel, resume."),
        "federation": ("federation", "Train one adapter with other nodes: create, join, run, status."),
    },
    "Adapters": {
        "adapters": ("library", "Adapters in this node's library."),
        "generate": ("library", "Generate text with an adapter."),
        "export": ("library", "Write an adapter as a folder that plain PEFT loads."),
    },
    "Market": {
        "publish": ("market", "Sign, seal, register and announce an adapter."),
        "pricing": ("pricing", "What an adapter costs and how the price moves: show, set."),
        "withdraw": ("market", "End the sales of an adapter; what licensees hold stays."),
        "notice": ("notice", "Complaints about adapters, and answers: file, counter, show."),
        "search": ("market", "Find adapters that peers announce."),
        "show": ("market", "One adapter: manifest, price and terms."),
        "license": ("market", "Buy a license for an adapter, or renew it."),
        "channel": ("channels", "Pay for an adapter by use: open, list, show, top-up, close."),
        "pool": ("pools", "A catalogue for one fee per period: create, list, join, subscribe, divide."),
        "fetch": ("market", "Download a licensed adapter, verified."),
        "royalties": ("royalties", "What is owed to this account: show, claim, statement."),
        "market": ("deployments", "Deploy a market on a chain, or check a deployment file; needs no node."),
        "audit": ("audit", "Re-derive every sale, split and claim; needs no node and no keys."),
        "simulate": ("simulate", "Compare payout and pricing rules, with attackers; needs no node and no keys."),
    },
}


class LazyGroup(click.Group):
    """A group that knows its commands' names and one-line help without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for section in _SECTIONS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for section in _SECTIONS.values():
            if cmd_name in section:
                module = importlib.import_module(f"viz_node.cli.commands.{section[cmd_name][0]}")
                command = getattr(module, f"{cmd_name}_command")
                assert isinstance(command, click.Command)
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, section in _SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(name, text) for name, (_, text) in section.items()])


@click.group(
    cls=LazyGroup,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110},
    epilog="Exit statuses: docs/reference/exit-codes.md",
)
@click.option(
    "--home",
    type=click.Path(file_okay=False, path_type=Path),
    envvar="VIZ_NODE_HOME",
    show_envvar=True,
    default=lambda: Path.home() / ".viz-node",
    help="Directory of the node.  [default: ~/.viz-node]",
)
@click.version_option(__version__, prog_name="viz-node")
@click.pass_context
def viz_node(ctx: click.Context, home: Path) -> None:
    """Sell what a model learns from your works, instead of giving the works away."""
    ctx.obj = Terminal(home=home.expanduser().absolute(), failure_status=ctx.obj)


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status; every deliberate error ends here, as one line and a hint."""
    failure_status: list[int] = []
    try:
        result = viz_node.main(args=list(arguments), prog_name="viz-node", standalone_mode=False, obj=failure_status)
        return result if isinstance(result, int) else 0
    except VizNodeError as error:
        _report(arguments, type(error).__name__, error.message, error.hint)
        return failure_status[-1] if failure_status else status_for(error, EXIT_STATUS)
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "viz-node"
        _report(arguments, "UsageError", error.format_message(), f"see `{command} --help`")
        return error.exit_code
    except click.ClickException as error:
        _report(arguments, "UsageError", error.format_message(), "")
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo("interrupted", err=True)
        return INTERRUPTED_STATUS
    except Exception as error:  # noqa: BLE001 - the edge: a person gets one line, and the node's log has the rest
        name = type(error).__name__
        _report(arguments, "VizNodeError", f"unforeseen: {name}: {error}", "this is a defect; viz-node doctor")
        return failure_status[-1] if failure_status else EXIT_STATUS[VizNodeError]


def _report(arguments: Sequence[str], name: str, message: str, hint: str) -> None:
    if "--json" in arguments:
        import json

        click.echo(json.dumps({"error": name, "message": message, "hint": hint}), err=True)
        return
    click.echo(f"error: {message}", err=True)
    if hint:
        click.echo(f"next: {hint}", err=True)


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))
