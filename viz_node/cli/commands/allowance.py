"""`viz-node allowance`: what the market may take from this account."""

import click

from viz_node.cli.confirm import may_spend, spending_options
from viz_node.cli.terminal import Terminal, detach_option, json_option, pass_terminal
from viz_node.cli.words import cell


@click.group("allowance", invoke_without_command=True)
@json_option
@click.pass_context
def allowance_command(ctx: click.Context) -> None:
    """Show how much the market may take from this account; `allowance revoke` sets it to zero.

    A purchase allows exactly its price. Some allowance remains if a purchase in a token without
    permits fails half way.
    """
    if ctx.invoked_subcommand is not None:
        return
    terminal = ctx.ensure_object(Terminal)
    answer = terminal.client.call("allowance")
    if terminal.output.is_json:
        terminal.output.document(answer)
        return
    left = cell(answer["allowance"], "allowance")
    terminal.output.line(f"the market {answer['market']} may take {left} from {answer['account']}")
    if answer["allowance"] != "0.00":
        terminal.output.line("next: viz-node allowance revoke")


@allowance_command.command("revoke")
@spending_options
@detach_option
@json_option
@pass_terminal
def revoke(terminal: Terminal, detach: bool, yes: bool, dry_run: bool) -> None:
    """Set the market's allowance to zero; past payments stay."""
    if not may_spend(
        terminal, lambda: terminal.client.call_list("plan_allowance_revoke"), yes, dry_run, is_gas_only=True
    ):
        return
    job = terminal.run_job(terminal.client.call("allowance_revoke"), detach)
    if job is None:
        return
    if not terminal.output.is_json and job["result"].get("tx_hash") == "":
        terminal.output.line("the market may take nothing already")
    else:
        terminal.output.result(job)
