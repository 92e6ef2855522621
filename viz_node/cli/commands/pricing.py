"""`viz-node pricing`: what an adapter costs, how the price moves, and another price from now on."""

from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import click

from viz_node.cli.confirm import may_spend, spending_options
from viz_node.cli.terminal import Command, Terminal, detach_option, json_option, pass_terminal
from viz_node.cli.within import Whole
from viz_node.cli.words import cell, tokens
from viz_node.domain.counting import counted
from viz_node.domain.ids import parse_amount
from viz_node.domain.limits import TARGET
from viz_node.domain.pricing import parse_time

OFFER_COLUMNS = ("offer", "price", "derived", "matches", "floor", "ceiling", "moves", "delivery", "is_open")
SALE_COLUMNS = ("entry", "time", "offer", "holder", "paid", "derived", "matches", "order", "outcome")
BARS = "▁▂▃▄▅▆▇█"


def price_rule_options(command: Command) -> Command:
    """Add `--ceiling` and `--target`, the rule by which a price moves."""
    target = click.option("--target", type=Whole(TARGET), help="New licensees per day above which the price rises.")
    ceiling = click.option(
        "--ceiling", metavar="TOKENS", help="Highest price; the price moves between --price and this."
    )
    return ceiling(target(command))


@click.group("pricing")
def pricing_command() -> None:
    """Show an adapter's prices, or set a new price."""


@pricing_command.command("show")
@click.argument("adapter")
@click.option(
    "--at", metavar="TIME", help="Also show the price at TIME if nobody buys before, such as 2026-12-31T18:00 (UTC)."
)
@json_option
@pass_terminal
def show(terminal: Terminal, adapter: str, at: str | None) -> None:
    """Show ADAPTER's offers and every price paid, each derived again from the ledger."""
    if at is not None:
        parse_time(at)
    answer, output = terminal.client.call("pricing_show", adapter=adapter, at=at), terminal.output
    if output.is_json:
        output.document(answer)
        return
    output.rows(answer["offers"], OFFER_COLUMNS)
    if answer["sales"]:
        output.line("")
        output.rows(answer["sales"], SALE_COLUMNS)
    output.line("")
    for line in plot(answer["curve"]):
        output.line(line)
    if answer["at"] is not None:
        price = answer["at"]["price"]
        output.line(f"at {cell(answer['at']['time'])}: {tokens(price) if price else 'not offered yet'}")
    wrong = [row for row in (*answer["offers"], *answer["sales"]) if not row["matches"]]
    checked = len(answer["offers"]) + len(answer["sales"])
    output.line(f"{counted(checked, 'price')} derived from the ledger; {len(wrong) or 'none'} of them differ")


def plot(curve: Sequence[Mapping[str, Any]]) -> list[str]:
    """The price over time, in eight heights between the lowest and the highest, and what they stand for."""
    prices = [Decimal(point["price"]) for point in curve]
    low, high = min(prices), max(prices)
    span = f"{cell(curve[0]['time'])} to {cell(curve[-1]['time'])}"
    if low == high:
        return [f"{tokens(curve[0]['price'])} all the time, {span}"]
    heights = [int((price - low) * (len(BARS) - 1) / (high - low)) for price in prices]
    bars = "".join(BARS[height] for height in heights)
    return [bars, f"from {BARS[0]} {tokens(low)} to {BARS[-1]} {tokens(high)}, {span}"]


@pricing_command.command("set")
@click.argument("adapter")
@click.option("--price", required=True, metavar="TOKENS", help="Price, such as 5.00; the lowest price if it moves.")
@price_rule_options
@spending_options
@detach_option
@json_option
@pass_terminal
def set_price(terminal: Terminal, /, detach: bool, yes: bool, dry_run: bool, **asked: Any) -> None:
    """Sell ADAPTER at a new price: make a new offer and withdraw the older ones."""
    for text in (asked["price"], asked["ceiling"]):
        if text is not None:
            parse_amount(text)
    if may_spend(terminal, lambda: terminal.client.call_list("plan_pricing", **asked), yes, dry_run, is_gas_only=True):
        job = terminal.run_job(terminal.client.call("pricing_set", **asked), detach)
        if job is not None:
            terminal.output.result(job)
