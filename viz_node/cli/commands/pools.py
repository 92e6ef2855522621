"""`viz-node pool`: many adapters for one fee per period, divided by what is used."""

from pathlib import Path
from typing import Any

import click

from viz_node.cli.commands.market import print_job
from viz_node.cli.confirm import may_spend, spending_options
from viz_node.cli.terminal import Terminal, detach_option, json_option, pass_terminal
from viz_node.cli.within import Whole
from viz_node.domain.ids import parse_amount
from viz_node.domain.limits import GRACE_HOURS, PERIODS, POOL_DAYS
from viz_node.domain.pool import RULES_OF_POOLS
from viz_node.domain.royalty import parse_percent

COLUMNS = ("pool", "name", "fee", "days", "rule", "adapters_share", "period", "period_ends", "paid_periods", "roles")


class PoolNumber(click.IntRange):
    """A pool's number on the chain; its name is its operator's own word, and several pools may have the same."""

    name = "number"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The number. Raises: BadParameter, with the way to find it."""
        try:
            return int(super().convert(value, param, ctx))
        except click.BadParameter:
            self.fail(f"{value!r} is not a pool's number; names are not unique: viz-node pool list", param, ctx)


_pool = click.argument("pool", type=PoolNumber(1))


@click.group("pool")
def pool_command() -> None:
    """Manage catalogue subscriptions: many adapters for one fee per period, divided among them by use.

    POOL is a pool's number on the chain: `pool list` shows it.
    """


@pool_command.command("list")
@json_option
@pass_terminal
def list_pools(terminal: Terminal) -> None:
    """List the pools of the market."""
    empty = "no pools yet; open one: viz-node pool create NAME --fee 9.99 --challenger ACCOUNT@PEER"
    terminal.output.rows(terminal.client.call_list("pool_list"), COLUMNS, empty)


@pool_command.command("show")
@_pool
@json_option
@pass_terminal
def show_pool(terminal: Terminal, pool: int) -> None:
    """Show POOL: rules, adapters, divisions of past periods, and your own uses."""
    body = terminal.client.call("pool_show", pool=pool)
    if terminal.output.is_json:
        terminal.output.document(body)
        return
    tables = {"members": ("adapter", "name", "account", "split", "my_uses"),
              "roots": ("periods", "fees", "state", "adoptable_at", "claims_end", "data")}  # fmt: skip
    terminal.output.body({key: value for key, value in body.items() if key not in tables})
    for name, columns in tables.items():
        terminal.output.heading(name)
        terminal.output.rows(body[name], columns, "none yet")


@pool_command.command("create")
@click.argument("name")
@click.option("--fee", required=True, metavar="TOKENS", help="Fee per subscriber per period.")
@click.option("--days", type=Whole(POOL_DAYS), default=30, show_default=True, help="Length of a period.")
@click.option(
    "--challenger",
    required=True,
    metavar="ACCOUNT@PEER",
    help="Account and peer that check each division and can veto it; `viz-node id` on that node shows both.",
)
@click.option("--rule", type=click.Choice([str(rule) for rule in RULES_OF_POOLS]), default="user-centric",
              show_default=True, help="Rule for dividing a period; see docs/explanation/economics.md.")  # fmt: skip
@click.option(
    "--share", default="70", show_default=True, metavar="PERCENT", help="Share of fees for adapters; the rest is yours."
)
@click.option("--grace-hours", type=Whole(GRACE_HOURS), default=24, show_default=True,
              help="Hours to wait for statements of uses after a period.")  # fmt: skip
@spending_options
@detach_option
@json_option
@pass_terminal
def create_pool(terminal: Terminal, /, yes: bool, dry_run: bool, detach: bool, **asked: Any) -> None:
    """Open a pool called NAME; its terms never change."""
    parse_amount(asked["fee"])
    parse_percent(asked["share"])
    if may_spend(terminal, lambda: terminal.client.call_list("plan_pool_create", **asked), yes, dry_run):
        job = terminal.run_job(terminal.client.call("pool_create", **asked), detach)
        number = ((job or {}).get("result") or {}).get("pool") or "POOL"
        print_job(terminal, job, f"viz-node pool join {number} ADAPTER")


@pool_command.command("watch")
@_pool
@click.option("--stop", is_flag=True, help="Stop watching.")
@json_option
@pass_terminal
def watch_pool(terminal: Terminal, pool: int, stop: bool) -> None:
    """Accept the challenger role for POOL; your node will spend gas vetoing wrong divisions."""
    terminal.output.body(terminal.client.call("pool_watch", pool=pool, wanted=not stop))


@pool_command.command("join")
@_pool
@click.argument("adapter")
@json_option
@pass_terminal
def join_pool(terminal: Terminal, pool: int, adapter: str) -> None:
    """Offer your ADAPTER to POOL's subscribers for its share of their fees."""
    terminal.output.body(terminal.client.call("pool_join", pool=pool, adapter=adapter))


@pool_command.command("leave")
@_pool
@click.argument("adapter")
@json_option
@pass_terminal
def leave_pool(terminal: Terminal, pool: int, adapter: str) -> None:
    """Stop giving ADAPTER to new subscribers of POOL; uses by current subscribers are still paid."""
    terminal.output.body(terminal.client.call("pool_leave", pool=pool, adapter=adapter))


@pool_command.command("subscribe")
@_pool
@click.option("--periods", type=Whole(PERIODS), default=1, show_default=True)
@click.option("--max-price", required=True, metavar="TOKENS", help="Maximum to pay in total.")
@spending_options
@detach_option
@json_option
@pass_terminal
def subscribe(terminal: Terminal, /, yes: bool, dry_run: bool, detach: bool, **order: Any) -> None:
    """Pay the next periods of POOL, except those that somebody gave you; then `fetch` and `generate` its adapters."""
    parse_amount(order["max_price"])
    if may_spend(terminal, lambda: terminal.client.call_list("plan_pool_subscribe", **order), yes, dry_run):
        job = terminal.run_job(terminal.client.call("pool_subscribe", **order), detach)
        print_job(terminal, job, f"viz-node pool show {order['pool']}, then viz-node fetch ADAPTER")


@pool_command.command("divide")
@_pool
@spending_options
@detach_option
@json_option
@pass_terminal
def divide_pool(terminal: Terminal, pool: int, yes: bool, dry_run: bool, detach: bool) -> None:
    """Post the division of POOL's finished periods now; your node also does this automatically."""
    if may_spend(terminal, lambda: terminal.client.call_list("plan_pool_divide", pool=pool), yes, dry_run):
        job = terminal.run_job(terminal.client.call("pool_divide", pool=pool), detach)
        print_job(terminal, job, f"viz-node pool show {pool}")


@pool_command.command("data")
@_pool
@click.option("--out", "directory", required=True, type=click.Path(file_okay=False, path_type=Path), metavar="DIR")
@json_option
@pass_terminal
def write_data(terminal: Terminal, pool: int, directory: Path) -> None:
    """Write the published data of POOL for auditors: viz-node audit … --pool-data DIR."""
    answer = terminal.client.call("pool_data", pool=pool, directory=str(directory.absolute()))
    terminal.output.body(answer)
