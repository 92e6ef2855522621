"""`viz-node channel`: pay for an adapter by use."""

from pathlib import Path

import click

from viz_node.cli.commands.market import print_job
from viz_node.cli.confirm import may_spend, spending_options
from viz_node.cli.terminal import Terminal, detach_option, json_option, pass_terminal
from viz_node.cli.within import Whole
from viz_node.domain.ids import parse_amount
from viz_node.domain.limits import CHANNEL_DAYS

COLUMNS = ("channel", "adapter", "price", "uses", "uses_left", "spent", "deposit", "days_left", "state", "adapter_id")


@click.group("channel")
def channel_command() -> None:
    """Pay for an adapter per use: open a channel, then `generate ADAPTER PROMPT --metered`."""


@channel_command.command("open")
@click.argument("adapter")
@click.option("--deposit", required=True, metavar="TOKENS", help="Maximum that the channel can pay.")
@click.option(
    "--days", type=Whole(CHANNEL_DAYS), default=30, show_default=True, help="Days that the channel stays open."
)
@spending_options
@detach_option
@json_option
@pass_terminal
def open_channel(terminal: Terminal, /, adapter: str, yes: bool, dry_run: bool, detach: bool, **asked: object) -> None:
    """Lock a deposit for uses of ADAPTER; the unused part comes back."""
    parse_amount(str(asked["deposit"]))
    order = {"adapter": adapter, **asked}
    if may_spend(terminal, lambda: terminal.client.call_list("plan_channel", **order), yes, dry_run):
        job = terminal.run_job(terminal.client.call("channel_open", **order), detach)
        print_job(terminal, job, f'viz-node generate {adapter} "…" --metered')


@channel_command.command("list")
@json_option
@pass_terminal
def list_channels(terminal: Terminal) -> None:
    """List the channels that this account pays for, and their balances."""
    empty = "no channels yet; open one: viz-node channel open ADAPTER --deposit 2.00"
    terminal.output.rows(terminal.client.call_list("channel_list"), COLUMNS, empty)


@channel_command.command("show")
@click.argument("channel", type=click.IntRange(1))
@json_option
@pass_terminal
def show_channel(terminal: Terminal, channel: int) -> None:
    """Show a channel, and jobs whose answers wait for `viz-node jobs resume`; --json includes its receipts."""
    shown = terminal.client.call("channel_show", channel=channel)
    terminal.output.body(shown if terminal.output.is_json else shown | {"receipts": len(shown["receipts"])})
    for job_id in shown["kept"]:
        terminal.output.line(f"next: viz-node jobs resume {job_id}, for the answer that is paid")


@channel_command.command("receipts")
@click.argument("channel", type=click.IntRange(1))
@click.option("--out", required=True, type=click.Path(dir_okay=False, path_type=Path), metavar="FILE")
@json_option
@pass_terminal
def channel_receipts(terminal: Terminal, channel: int, out: Path) -> None:
    """Write CHANNEL's receipts (digests, no texts) to FILE for `viz-node audit --receipts`, as payer or owner."""
    terminal.output.body(terminal.client.call("channel_receipts", channel=channel, path=str(out.absolute())))


@channel_command.command("top-up")
@click.argument("channel", type=click.IntRange(1))
@click.argument("amount")
@spending_options
@detach_option
@json_option
@pass_terminal
def top_up(terminal: Terminal, /, channel: int, amount: str, yes: bool, dry_run: bool, detach: bool) -> None:
    """Add AMOUNT tokens to the deposit of CHANNEL."""
    parse_amount(amount)
    order = {"channel": channel, "amount": amount}
    if may_spend(terminal, lambda: terminal.client.call_list("plan_top_up", **order), yes, dry_run):
        job = terminal.run_job(terminal.client.call("channel_top_up", **order), detach)
        print_job(terminal, job, f"viz-node channel show {channel}")


@channel_command.command("close")
@click.argument("channel", type=click.IntRange(1))
@spending_options
@detach_option
@json_option
@pass_terminal
def close_channel(terminal: Terminal, channel: int, yes: bool, dry_run: bool, detach: bool) -> None:
    """Ask to close CHANNEL; after the close window this node takes back the unused deposit."""
    if may_spend(terminal, lambda: terminal.client.call_list("plan_close", channel=channel), yes, dry_run):
        job = terminal.run_job(terminal.client.call("channel_close", channel=channel), detach)
        print_job(terminal, job, "viz-node channel list")
