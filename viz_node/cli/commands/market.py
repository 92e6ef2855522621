"""`viz-node publish`, `search`, `show`, `license` and `fetch`: selling and buying."""

from typing import Any

import click

from viz_node.cli.terminal import Terminal, detach_option, json_option, pass_terminal
from viz_node.domain.ids import parse_amount
from viz_node.domain.royalty import parse_split
from viz_node.errors import UsageError

DEFAULT_SUBSCRIPTION_DAYS = 30


def print_job(terminal: Terminal, job: dict[str, Any] | None, following: str) -> None:
    """A finished job's result, and the next step; nothing for a detached one."""
    if job is None:
        return
    terminal.output.body(job if terminal.output.is_json else job.get("result") or {})
    terminal.output.line(f"next: {following}")


@click.command("publish")
@click.argument("adapter")
@click.option("--price", required=True, metavar="TOKENS", help="As 5.00; at most 6 decimals.")
@click.option("--split", metavar="ACCOUNT=70,ACCOUNT=30", help="Percent each.  [default: all to this account]")
@click.option(
    "--license", "kind", type=click.Choice(["perpetual", "subscription"]), default="perpetual", show_default=True
)
@click.option("--days", type=click.IntRange(1, 36500), help="Days per payment of a subscription.  [default: 30]")
@detach_option
@json_option
@pass_terminal
def publish_command(
    terminal: Terminal, adapter: str, price: str, split: str | None, kind: str, days: int | None, detach: bool
) -> None:
    """Sign, seal and register ADAPTER, offer it at a price, and announce it."""
    if parse_amount(price) < 1:
        raise UsageError("the price is zero", "the least is 0.000001")
    if split is not None:
        parse_split(split)
    if days is not None and kind != "subscription":
        raise UsageError("--days needs --license subscription", "a perpetual license does not expire")
    duration = (days or DEFAULT_SUBSCRIPTION_DAYS) if kind == "subscription" else None
    answer = terminal.client.call(
        "publish", adapter=adapter, price=price, split=split, license=kind, duration_days=duration
    )
    print_job(terminal, terminal.run_job(answer, detach), "viz-node royalties, once it sells")


@click.command("search")
@click.argument("text", default="")
@json_option
@pass_terminal
def search_command(terminal: Terminal, text: str) -> None:
    """Adapters that peers announce, by TEXT in their names; verified, with price and terms from the chain."""
    columns = ("adapter_id", "name", "base_model", "price", "license", "account", "licensed")
    empty = "nothing found; are there peers? viz-node peers"
    terminal.output.rows(terminal.client.call_list("search", text=text), columns, empty)


@click.command("show")
@click.argument("adapter")
@json_option
@pass_terminal
def show_command(terminal: Terminal, adapter: str) -> None:
    """What is known of ADAPTER: manifest, price and terms."""
    terminal.output.body(terminal.client.call("show", adapter=adapter))


@click.command("license")
@click.argument("adapter")
@click.option("--max-price", required=True, metavar="TOKENS", help="Pay no more than this.")
@detach_option
@json_option
@pass_terminal
def license_command(terminal: Terminal, adapter: str, max_price: str, detach: bool) -> None:
    """Buy a license for ADAPTER; it is paid once, however often this is interrupted."""
    parse_amount(max_price)
    answer = terminal.client.call("license", adapter=adapter, max_price=max_price)
    print_job(terminal, terminal.run_job(answer, detach), f"viz-node fetch {adapter}")


@click.command("fetch")
@click.argument("adapter")
@detach_option
@json_option
@pass_terminal
def fetch_command(terminal: Terminal, adapter: str, detach: bool) -> None:
    """Download ADAPTER from any peer that has it, get its key from the holder, verify every digest."""
    answer = terminal.client.call("fetch", adapter=adapter)
    print_job(terminal, terminal.run_job(answer, detach), f'viz-node generate {adapter} "…"')
