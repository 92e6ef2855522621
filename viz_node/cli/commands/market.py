"""`viz-node publish`, `withdraw`, `search`, `show`, `license` and `fetch`: selling and buying."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from viz_node.cli.commands.pricing import price_rule_options
from viz_node.cli.confirm import may_spend, spending_options
from viz_node.cli.terminal import Command, Terminal, detach_option, json_option, pass_terminal
from viz_node.cli.within import Whole
from viz_node.cli.words import flattened, tokens
from viz_node.domain.ids import parse_amount
from viz_node.domain.limits import LICENSE_DAYS
from viz_node.domain.permissions import parse_permissions
from viz_node.domain.royalty import parse_parent, parse_split
from viz_node.domain.terms import DEFAULT_SUBSCRIPTION_DAYS, LICENSE_KINDS
from viz_node.errors import UsageError
from viz_node.files import read_toml

LICENSE_COLUMNS = ("adapter", "offer", "kind", "state", "expires", "days_left", "paid", "in_escrow", "order",
                   "order_state", "order_until", "note", "adapter_id")  # fmt: skip

SHOWN_FACTS = ("name", "adapter_id", "base_model", "license", "expires", "is_open", "account", "peer_id", "evaluation")
DELIVERIES = {
    "channel": "channel: each use is paid from a deposit and runs on the seller's node; nothing is downloaded",
    "direct": "direct: the money is the seller's at once, the key comes from the seller's node",
    "escrow": "escrow: the money waits in the market until the key is delivered, and comes back if it is not",
}
TOLD = {"name", "account", "peer_id", "license", "split", "evaluation"}


def print_job(terminal: Terminal, job: dict[str, Any] | None, following: str) -> None:
    """A finished job's result, and the next step; nothing for a detached one."""
    if job is None:
        return
    terminal.output.result(job)
    terminal.output.line(f"next: {following}")


@click.command("publish")
@click.argument("adapter")
@click.option("--price", required=True, metavar="TOKENS", help="Price, such as 5.00; at most 6 decimals.")
@click.option(
    "--split",
    metavar="ACCOUNT=70,ACCOUNT=30",
    help="Percentages of revenue, after the platform fee.  [default: all to this account]",
)
@click.option("--license", "kind", type=click.Choice(LICENSE_KINDS), default="perpetual", show_default=True)
@click.option("--days", type=Whole(LICENSE_DAYS), help="Days per payment of a subscription license.  [default: 30]")
@price_rule_options
@click.option(
    "--parent",
    "parents",
    multiple=True,
    metavar="ADAPTER=PERCENT",
    help="Share of revenue, after the platform fee, for the adapter this one derives from.",
)
@click.option(
    "--terms",
    "terms_file",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE.toml",
    help="Terms for licensees; examples in configs/terms/.",
)
@click.option(
    "--escrow/--direct",
    default=None,
    help="Hold payment in escrow until the key is delivered, or pay out immediately.  "
    "[default: escrow; a metered license has a channel instead]",
)
@spending_options
@detach_option
@json_option
@pass_terminal
def publish_command(terminal: Terminal, /, adapter: str, detach: bool, yes: bool, dry_run: bool, **asked: Any) -> None:
    """Sign, seal and register ADAPTER, offer it at a price, and announce it."""
    kind, days, terms_file = asked.pop("kind"), asked.pop("days"), asked.pop("terms_file")
    asked["parents"] = list(asked["parents"])
    if terms_file is not None:
        asked["terms"] = _read_terms(terms_file)
    if parse_amount(asked["price"]) < 1:
        raise UsageError("the price is zero", "the least is 0.000001")
    if asked["split"] is not None:
        parse_split(asked["split"])
    for parent in asked["parents"]:
        parse_parent(parent)
    if days is not None and kind != "subscription":
        raise UsageError("--days needs --license subscription", "a perpetual license does not expire")
    duration = (days or DEFAULT_SUBSCRIPTION_DAYS) if kind == "subscription" else None
    order = {"adapter": adapter, "license": kind, "duration_days": duration, **asked}
    if may_spend(terminal, lambda: terminal.client.call_list("plan_publish", **order), yes, dry_run, is_gas_only=True):
        job = terminal.run_job(terminal.client.call("publish", **order), detach)
        print_job(terminal, job, "viz-node royalties, once it sells")


def _read_terms(path: Path) -> dict[str, Any]:
    example = "viz-node config example noncommercial prints one"
    body = read_toml(path, example)
    if not body:
        raise UsageError(f"{path} holds no terms", example)
    parse_permissions(body)
    return body


@click.command("search")
@click.argument("text", default="")
@json_option
@pass_terminal
def search_command(terminal: Terminal, text: str) -> None:
    """Find adapters with TEXT in their names that peers announce; verify them, with price and terms from the chain."""
    columns = ("adapter_id", "name", "base_model", "price", "range", "license", "delivery", "terms", "licensed")
    empty = "nothing found; are there peers? viz-node peers"
    rows = terminal.client.call_list("search", text=text)
    ranges = [range_of(row) for row in rows]
    shown = rows if terminal.is_json else [row | {"range": text} for row, text in zip(rows, ranges, strict=True)]
    terminal.output.rows(shown, columns, empty)
    for error in dict.fromkeys(row["error"] for row in rows if row.get("error")):
        terminal.output.line(f"without a price, because {error}")


def range_of(row: Mapping[str, Any]) -> str:
    """Between which prices an offer moves; nothing for a fixed price."""
    floor, ceiling = row.get("floor"), row.get("ceiling")
    return "-" if floor == ceiling else f"{floor} to {tokens(ceiling)}"


def price_of(answer: Mapping[str, Any]) -> str:
    """The price of an offer and how it moves."""
    between = range_of(answer)
    return f"{tokens(answer['price'])}, {answer['moves']}" + (f"; from {between}" if between != "-" else "")


@click.command("show")
@click.argument("adapter")
@json_option
@pass_terminal
def show_command(terminal: Terminal, adapter: str) -> None:
    """Show ADAPTER's price, terms, payees and manifest."""
    answer = terminal.client.call("show", adapter=adapter)
    output = terminal.output
    if output.is_json:
        output.document(answer)
        return
    facts = [(name.replace("_", " "), answer[name]) for name in SHOWN_FACTS]
    facts[3:3] = [("price", price_of(answer))]
    facts.append(("delivery", DELIVERIES.get(answer["delivery"], answer["delivery"])))
    output.facts(answer, facts)
    for title, body in (
        ("What a licensee may do", answer["permissions"]),
        ("Who is paid", {account: f"{share} %" for account, share in answer["split"].items()}),
    ):
        output.heading(title)
        output.facts(body, list(body.items()))
    output.heading("The manifest, which the seller signed")
    output.facts(answer, flattened({key: value for key, value in answer["manifest"].items() if key not in TOLD}))


class _LicenseGroup(click.Group):
    """`license ADAPTER` buys; the subcommands do the rest."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        is_adapter = bool(args) and args[0] not in {*self.commands, *ctx.help_option_names}
        return super().parse_args(ctx, ["buy", *args] if is_adapter else args)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        return self.commands.get(cmd_name, self.commands["buy"])


@click.group("license", cls=_LicenseGroup)
def license_command() -> None:
    """Buy a license for ADAPTER: `license ADAPTER --max-price 6.00`; `license renew` extends a subscription."""


def purchase_options(command: Command) -> Command:
    """What buying and renewing share."""
    limit = click.option("--max-price", required=True, metavar="TOKENS", help="Maximum to pay.")
    common = spending_options(detach_option(json_option(command)))
    return click.argument("adapter")(limit(common))


@license_command.command("buy")
@purchase_options
@pass_terminal
def buy(terminal: Terminal, adapter: str, max_price: str, detach: bool, yes: bool, dry_run: bool) -> None:
    """Buy a license for ADAPTER, and pay once even if this is interrupted."""
    order = {"adapter": adapter, "max_price": max_price, "renew": False}
    _purchase(terminal, order, detach, yes, dry_run)


@license_command.command("renew")
@purchase_options
@pass_terminal
def renew(terminal: Terminal, adapter: str, max_price: str, detach: bool, yes: bool, dry_run: bool) -> None:
    """Extend this account's subscription license for ADAPTER under the same offer."""
    order = {"adapter": adapter, "max_price": max_price, "renew": True}
    _purchase(terminal, order, detach, yes, dry_run)


@license_command.command("list")
@click.option("--sold", is_flag=True, help="List licensees of this account's adapters.")
@json_option
@pass_terminal
def list_licenses(terminal: Terminal, sold: bool) -> None:
    """List this account's licenses and orders in escrow, as recorded on the chain."""
    empty = "nothing is sold yet" if sold else "no licenses yet; find adapters: viz-node search"
    columns = ("holder", *LICENSE_COLUMNS) if sold else LICENSE_COLUMNS
    terminal.output.rows(terminal.client.call_list("license_list", sold=sold), columns, empty)


def _purchase(terminal: Terminal, order: dict[str, Any], detach: bool, yes: bool, dry_run: bool) -> None:
    parse_amount(order["max_price"])
    if may_spend(terminal, lambda: terminal.client.call_list("plan_license", **order), yes, dry_run):
        job = terminal.run_job(terminal.client.call("license", **order), detach)
        print_job(terminal, job, f"viz-node fetch {order['adapter']}")


@click.command("withdraw")
@click.argument("adapter")
@spending_options
@detach_option
@json_option
@pass_terminal
def withdraw_command(terminal: Terminal, adapter: str, yes: bool, dry_run: bool, detach: bool) -> None:
    """End sales of ADAPTER now; existing licenses stay valid."""
    if may_spend(terminal, lambda: terminal.client.call_list("plan_withdraw", adapter=adapter), yes, dry_run):
        job = terminal.run_job(terminal.client.call("withdraw", adapter=adapter), detach)
        print_job(terminal, job, f"viz-node pricing set {adapter} --price 5.00, to sell it again")


@click.command("fetch")
@click.argument("adapter")
@detach_option
@json_option
@pass_terminal
def fetch_command(terminal: Terminal, adapter: str, detach: bool) -> None:
    """Download ADAPTER from any peer that has it, get its key from the owner, and verify every digest."""
    answer = terminal.client.call("fetch", adapter=adapter)
    print_job(terminal, terminal.run_job(answer, detach), f'viz-node generate {adapter} "…"')
