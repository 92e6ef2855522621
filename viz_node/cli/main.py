"""The entry of `viz-node`: the root group, which imports a command only when it runs, and the exit status."""

import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

import click
from click.core import ParameterSource

from viz_node import __version__
from viz_node.cli import printer
from viz_node.cli.sections import NAMES, SECTIONS
from viz_node.cli.terminal import Terminal
from viz_node.errors import EXIT_STATUS, VizNodeError, disk_full, not_installed, status_for

INTERRUPTED_STATUS = 130
# As a shell tells it: 128 and the number of SIGPIPE.
UNREAD_STATUS = 141


class LazyGroup(click.Group):
    """A group that knows its commands' names and one-line help without importing them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(NAMES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for section in SECTIONS.values():
            if cmd_name in section:
                module = importlib.import_module(f"viz_node.cli.commands.{section[cmd_name][0]}")
                command = getattr(module, f"{cmd_name}_command")
                assert isinstance(command, click.Command)
                return command
        return None

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if self.get_command(ctx, args[0]) is None and not args[0].startswith("-"):
            raise click.NoSuchCommand(args[0], possibilities=NAMES, ctx=ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, section in SECTIONS.items():
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
    terminal = ctx.ensure_object(Terminal)
    terminal.home = home.expanduser().absolute()
    terminal.is_home_given = ctx.get_parameter_source("home") is not ParameterSource.DEFAULT


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit status; every deliberate error ends here, as one line and a hint."""
    terminal = Terminal(home=Path())
    try:
        result = viz_node.main(args=list(arguments), prog_name="viz-node", standalone_mode=False, obj=terminal)
        return result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        for line in error.format_message().splitlines():
            printer.write_line(line, is_news=True)
        return error.exit_code
    except click.UsageError as error:
        command = error.ctx.command_path if error.ctx else "viz-node"
        _report(terminal, arguments, "UsageError", error.format_message(), f"see `{command} --help`")
        return error.exit_code
    except click.ClickException as error:
        _report(terminal, arguments, "UsageError", error.format_message(), "")
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        printer.write_line("interrupted", is_news=True)
        return INTERRUPTED_STATUS
    except SystemExit as end:  # click's own: 0 after completion, 1 if the reader of the output is gone
        return UNREAD_STATUS if end.code == 1 else 0
    except Exception as error:  # noqa: BLE001 - the edge: a person gets one line, and the node's log has the rest
        return _end(terminal, arguments, _named(error))


def _named(error: Exception) -> VizNodeError:
    known = disk_full(error) or not_installed(error)
    if known is None and isinstance(error, VizNodeError):
        return error
    unforeseen = VizNodeError(f"unforeseen: {type(error).__name__}: {error}", "this is a defect; viz-node doctor")
    return known or unforeseen


def _end(terminal: Terminal, arguments: Sequence[str], error: VizNodeError) -> int:
    _report(terminal, arguments, type(error).__name__, error.message, error.hint)
    return terminal.failure_status[-1] if terminal.failure_status else status_for(error, EXIT_STATUS)


def _report(terminal: Terminal, arguments: Sequence[str], name: str, message: str, hint: str) -> None:
    # A mistake on the command line is told before its `--json` is parsed.
    terminal.is_json = terminal.is_json or "--json" in arguments
    from viz_node.cli.output import Output

    Output(terminal.is_json, terminal.given_home).error(name, message, hint)


def main() -> None:
    """The console script."""
    sys.exit(run(sys.argv[1:]))
