"""`viz-node royalties`: what is owed to this account."""

from decimal import Decimal
from typing import Any

import click

from viz_node.cli.confirm import may_spend, spending_options
from viz_node.cli.terminal import Terminal, detach_option, json_option, pass_terminal
from viz_node.cli.words import tokens
from viz_node.domain.ids import format_amount, parse_amount

STATEMENT_COLUMNS = ("entry", "time", "what", "adapters", "split", "paid", "share", "earned", "taken", "tx_hash")

_ELSEWHERE = {
    "in_derived": "that derived adapters owe to yours; royalties claim brings it, too",
    "in_escrow": "in escrow, until the key is delivered and nobody can dispute it any more",
    "in_pools": "that pools give to your splits; royalties claim credits them, too",
}


@click.group("royalties", invoke_without_command=True)
@json_option
@click.pass_context
def royalties_command(ctx: click.Context) -> None:
    """Show royalties due to this account; `royalties claim` collects them."""
    if ctx.invoked_subcommand is not None:
        return
    terminal = ctx.ensure_object(Terminal)
    output = terminal.output
    answer = terminal.client.call("royalties")
    if output.is_json:
        output.document(answer)
        return
    output.rows(
        answer["rows"],
        ("adapters", "split_id", "share", "accrued", "claimed", "due"),
        "no split names this account yet",
    )
    if answer.get("sales"):
        output.line("")
        rows = [row | {"adapter": row.get("name") or f"#{row['adapter']}"} for row in answer["sales"]]
        output.rows(rows, ("adapter", "price", "block", "holder", "tx_hash"))
    output.line(f"due to {answer['account']}: {tokens(answer['due'])}")
    for name, where in _ELSEWHERE.items():
        if answer[name] != "0.00":
            output.line(f"and {tokens(answer[name])} {where}")


@royalties_command.command("claim")
@click.option(
    "--coin-price", metavar="TOKENS", help="Value of the chain's coin; marks claims that cost more than they pay."
)
@spending_options
@detach_option
@json_option
@pass_terminal
def claim(terminal: Terminal, coin_price: str | None, detach: bool, yes: bool, dry_run: bool) -> None:
    """Collect all royalties due to this node's account."""
    worth = Decimal(0) if coin_price is None else Decimal(format_amount(parse_amount(coin_price)))

    def plan() -> list[dict[str, Any]]:
        return [with_worth(row, worth) for row in terminal.client.call_list("plan_claim")]

    if not may_spend(terminal, plan, yes, dry_run, is_gas_only=True):
        return
    job = terminal.run_job(terminal.client.call("royalties_claim"), detach)
    if job is None:
        return
    if terminal.output.is_json or job["result"]["tx_hashes"]:
        terminal.output.result(job)
    else:
        terminal.output.line("nothing is due")


@royalties_command.command("statement")
@click.option("--period", metavar="YYYY[-MM]", help="A month or a year, in UTC.  [default: everything]")
@click.option("--csv", "is_csv", is_flag=True, help="Print comma-separated values.")
@json_option
@pass_terminal
def show_statement(terminal: Terminal, period: str | None, is_csv: bool) -> None:
    """List every sale and use that paid you, your share, and every claim, with ledger entries."""
    rows = terminal.client.call_list("royalties_statement", period=period)
    if is_csv and not terminal.output.is_json:
        terminal.output.csv(STATEMENT_COLUMNS, rows)
        return
    terminal.output.rows(rows, STATEMENT_COLUMNS, "no split that names this account was paid yet")


def with_worth(row: dict[str, Any], coin_price: Decimal) -> dict[str, Any]:
    """The row of a plan, marked if it brings fewer tokens than its gas is worth."""
    is_claim = str(row["amount"]).startswith("+")
    if not is_claim or Decimal(row["gas"]) * coin_price <= Decimal(row["amount"]):
        return row
    return row | {"consequence": f"costs more gas than it brings; {row['consequence']}"}
