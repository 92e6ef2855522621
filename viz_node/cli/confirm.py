"""Ask before anything is spent: one table of what it costs and what follows, `--yes`, and `--dry-run`.

A plan is a list of rows `what`, `amount` (payment tokens), `gas` (in the chain's coin, estimated), `consequence`, which
the node works out without doing anything.
"""

import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from viz_node.cli.terminal import Command, Terminal
from viz_node.errors import RefusedError

COLUMNS = ("what", "amount", "gas", "consequence")
Plan = Sequence[Mapping[str, Any]]


def spending_options(command: Command) -> Command:
    """Add `--yes` and `--dry-run`, passed on as `yes` and `dry_run`."""
    asked = click.option("--yes", "-y", is_flag=True, help="Spend without asking.")(command)
    return click.option("--dry-run", is_flag=True, help="Show what it costs and what follows, and spend nothing.")(
        asked
    )


def may_spend(terminal: Terminal, make_plan: Callable[[], Plan], yes: bool, dry_run: bool) -> bool:
    """Whether to go on: False after a dry run, True with `--yes` or when the person at the terminal agrees.

    Raises: RefusedError (the person declines, or nobody can be asked), and what `make_plan` raises.
    """
    if dry_run:
        terminal.output.rows(make_plan(), COLUMNS, "nothing would be spent")
        return False
    if yes:
        return True
    if terminal.output.is_json or not sys.stdin.isatty():
        raise RefusedError("nothing is spent without a yes, and nobody can be asked here", "add --yes, or --dry-run")
    plan = make_plan()
    terminal.output.rows(plan, COLUMNS, "nothing will be spent")
    if plan and not click.confirm("Go on?", default=False, err=True):
        raise RefusedError("you declined; nothing was spent")
    return True
