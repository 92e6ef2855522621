"""`viz-node pricing`: what an adapter costs, how the price moves, and another price from now on."""

import click

from viz_node.cli.terminal import Command, Terminal, detach_option, json_option, pass_terminal
from viz_node.domain.ids import parse_amount

OFFER_COLUMNS = ("offer", "price", "floor", "ceiling", "moves", "delivery", "is_open")


def price_rule_options(command: Command) -> Command:
    """Add `--ceiling` and `--target`, the rule by which a price moves."""
    target = click.option(
        "--target", type=click.IntRange(1, 32767), help="The price rises while more new licensees come per day."
    )
    ceiling = click.option("--ceiling", metavar="TOKENS", help="The price moves between --price and this.")
    return ceiling(target(command))


@click.group("pricing")
def pricing_command() -> None:
    """What an adapter costs, how its price moves, and another price from now on."""


@pricing_command.command("show")
@click.argument("adapter")
@json_option
@pass_terminal
def show(terminal: Terminal, adapter: str) -> None:
    """The offers of ADAPTER, the newest first, and what was paid for them directly."""
    answer, output = terminal.client.call("pricing_show", adapter=adapter), terminal.output
    if output.is_json:
        output.document(answer)
        return
    output.rows(answer["offers"], OFFER_COLUMNS)
    if answer["sales"]:
        output.line("")
        output.rows(answer["sales"], ("offer", "price", "holder", "block"))


@pricing_command.command("set")
@click.argument("adapter")
@click.option("--price", required=True, metavar="TOKENS", help="As 5.00; the lowest one if the price moves.")
@price_rule_options
@detach_option
@json_option
@pass_terminal
def set_price(
    terminal: Terminal, adapter: str, price: str, ceiling: str | None, target: int | None, detach: bool
) -> None:
    """Sell ADAPTER at another price from now on: a new offer, and the older ones are withdrawn."""
    for text in (price, ceiling):
        if text is not None:
            parse_amount(text)
    answer = terminal.client.call("pricing_set", adapter=adapter, price=price, ceiling=ceiling, target=target)
    job = terminal.run_job(answer, detach)
    if job is not None:
        terminal.output.body(job if terminal.output.is_json else job.get("result") or {})
