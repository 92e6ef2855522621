"""Ask before spending: one table of costs and consequences, `--yes`, and `--dry-run`.

A plan is a list of rows `what`, `amount` (payment tokens), `gas` (in the chain's coin, estimated), `consequence`, which
the node works out without doing anything. `paid_to` of a row says who gets the amount; `is_test_gas` that its gas is a
development chain's, which nobody can lose.
"""

from collections.abc import Callable, Mapping, Sequence
from decimal import ROUND_UP, Decimal
from typing import Any

import click

from viz_node.cli import printer
from viz_node.cli.terminal import Command, Terminal
from viz_node.cli.words import tokens
from viz_node.domain.counting import counted
from viz_node.errors import RefusedError

COLUMNS = ("what", "amount", "gas", "consequence")
MOST_PARTS = 8
Plan = Sequence[Mapping[str, Any]]
Losses = tuple[str, Sequence[str]]


def spending_options(command: Command) -> Command:
    """Add `--yes` and `--dry-run`, passed on as `yes` and `dry_run`."""
    asked = click.option("--yes", "-y", is_flag=True, help="Spend without asking.")(command)
    return click.option("--dry-run", is_flag=True, help="Show the cost and the effects without spending.")(asked)


def may_spend(
    terminal: Terminal, make_plan: Callable[[], Plan], yes: bool, dry_run: bool, is_gas_only: bool = False
) -> bool:
    """Whether to go on: False after a dry run, True with `--yes` or when the person at the terminal agrees.

    With `is_gas_only` nobody is asked about the gas of a development chain, but the table is still shown.
    Raises: RefusedError (the person declines, or nobody can be asked), and what `make_plan` raises.
    """
    if dry_run:
        _show(terminal, make_plan(), "nothing would be spent")
        return False
    if yes:
        return True
    can_ask = printer.can_ask() and not terminal.output.is_json
    if not can_ask and not is_gas_only:
        raise _nobody()
    plan = make_plan()
    must_ask = not (is_gas_only and all(row.get("is_test_gas") for row in plan))
    if must_ask and not can_ask:
        raise _nobody()
    if not terminal.output.is_json:
        _show(terminal, plan, "nothing will be spent")
    if plan and must_ask and not printer.ask_yes("Go on?"):
        raise RefusedError("you declined; nothing was spent")
    return True


def may_lose(
    terminal: Terminal, make_plan: Callable[[], Mapping[str, Any]], losses: Callable[..., Losses], yes: bool
) -> str:
    """Ask before something is lost, naming it; the id or name of what the person, or `--yes`, agrees to lose.

    Raises: RefusedError (the person declines, or nobody can be asked), and what `make_plan` raises.
    """
    plan = make_plan()
    what, lines = losses(plan)
    if yes:
        return what
    if not printer.can_ask() or terminal.output.is_json:
        raise RefusedError("nothing is removed without a yes, and nobody can be asked here", "add --yes")
    for line in lines:
        terminal.output.line(line)
    if not printer.ask_yes("Remove it?"):
        raise RefusedError("you declined; nothing was removed")
    return what


def yes_option(command: Command) -> Command:
    """Add `--yes` to a command that removes something."""
    return click.option("--yes", "-y", is_flag=True, help="Remove without asking.")(command)


def _show(terminal: Terminal, plan: Plan, empty: str) -> None:
    rows = plan if terminal.output.is_json else [{**row, "gas": rounded_up(str(row["gas"]))} for row in plan]
    terminal.output.rows(rows, COLUMNS, empty)
    for row in plan:
        parts, whole = row.get("paid_to", ()), "it" if row["amount"] else "each sale"
        for part in parts[:MOST_PARTS]:
            who = f", {part['who']}" if part["who"] else ""
            terminal.output.line(f"  {tokens(part['amount'])} of {whole}, {part['share']}, to {part['account']}{who}")
        if len(parts) > MOST_PARTS:
            terminal.output.line(f"  and the rest to {counted(len(parts) - MOST_PARTS, 'other')}; --json lists them")


def rounded_up(gas: str) -> str:
    """An amount of gas money in three significant digits, never less than it is; no amount as it is."""
    if not gas:
        return gas
    exact = Decimal(gas)
    return f"{exact.quantize(Decimal(1).scaleb(exact.adjusted() - 2), ROUND_UP):f}" if exact else gas


def _nobody() -> RefusedError:
    return RefusedError("nothing is spent without a yes, and nobody can be asked here", "add --yes, or --dry-run")
