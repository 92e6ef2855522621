"""`viz-node market`: deploy a market of one's own on a chain, and check a deployment file; needs no running node."""

from dataclasses import asdict
from pathlib import Path
from typing import Any

import click

from viz_node.cli.commands.node import FAILED_CHECK_STATUS, print_checks
from viz_node.cli.confirm import may_spend, spending_options
from viz_node.cli.options import RpcUrl
from viz_node.cli.terminal import Command, Terminal, json_option, pass_terminal
from viz_node.domain.ids import format_coin, parse_account
from viz_node.domain.royalty import parse_percent
from viz_node.errors import UsageError

_WINDOWS = {
    "close": "Minutes to redeem vouchers after a channel is asked to close.",
    "delivery": "Minutes for a seller to deliver the key of an order.",
    "dispute": "Minutes for a buyer to prove that a delivered key is wrong.",
    "veto": "Minutes for a challenger to veto a pool's division.",
}
_NOTHING = "0x" + "00" * 20


@click.group("market")
def market_command() -> None:
    """Deploy a market on a chain, or check a deployment file."""


def rpc_option(command: Command) -> Command:
    """Add `--rpc-url`."""
    return click.option("--rpc-url", required=True, type=RpcUrl(), metavar="URL", help="A node of the chain.")(command)


def window_options(command: Command) -> Command:
    """Add an option for each window of the contract."""
    for name, text in reversed(_WINDOWS.items()):
        minutes = click.IntRange(10, 30 * 24 * 60)
        command = click.option(f"--{name}-minutes", type=minutes, default=1440, show_default=True, help=text)(command)
    return command


@market_command.command("deploy")
@rpc_option
@click.option("--token", required=True, metavar="ACCOUNT", help="Payment token with 6 decimals, such as USDC.")
@click.option("--platform", metavar="ACCOUNT", help="Account that receives the platform's fee.  [default: no fee]")
@click.option("--platform-fee", metavar="PERCENT", help="Share of every payment, at most 10; requires --platform.")
@click.option("--steward", metavar="ACCOUNT", help="Account that may stop sales.  [default: nobody, permanently]")
@window_options
@click.option(
    "--out",
    type=click.Path(dir_okay=False, path_type=Path),
    default="deployment.json",
    show_default=True,
    metavar="FILE",
    help="Where to write the deployment file.",
)
@spending_options
@json_option
@pass_terminal
def deploy_command(terminal: Terminal, /, rpc_url: str, out: Path, yes: bool, dry_run: bool, **asked: Any) -> None:
    """Deploy a market with this home's account, verify its code, and write the file that nodes and auditors need.

    To complete an interrupted deployment, run the same command again.
    """
    setup = _setup(**asked)
    from viz_node.daemon.market_care import open_deployer

    with open_deployer(terminal.home, rpc_url, out, dry_run) as deployer:
        if not may_spend(terminal, lambda: _plan(deployer, setup), yes, dry_run):
            return
        deployment = deployer.run(setup)
    terminal.output.body({"file": str(out), **asdict(deployment)})
    terminal.output.line(f"next: viz-node market check {out} --rpc-url URL, then docs/how-to/real-chain.md")


@market_command.command("check")
@click.argument("file", type=click.Path(dir_okay=False, path_type=Path))
@rpc_option
@json_option
@pass_terminal
def check_command(terminal: Terminal, file: Path, rpc_url: str) -> None:
    """Compare a deployment FILE with the chain. Exit status 1 if anything differs."""
    from viz_node.daemon.market_care import check_market
    from viz_node.domain.answer import as_json

    findings, terms = check_market(file, rpc_url)
    rows = as_json(findings)
    if terminal.output.is_json:
        terminal.output.document({"checks": rows, "terms": terms})
    else:
        print_checks(terminal.output, rows)
        if terms:
            terminal.output.heading("What was fixed when the market was deployed")
            terminal.output.body(_in_words(terms))
    if any(finding.state == "fail" for finding in findings):
        raise click.exceptions.Exit(FAILED_CHECK_STATUS)


def _setup(token: str, platform: str | None, platform_fee: str | None, steward: str | None, **minutes: int) -> Any:
    """What was asked for. Raises: UsageError."""
    from viz_node.chain.account.deploy import Setup

    if (platform is None) != (platform_fee is None):
        raise UsageError("--platform and --platform-fee go together", "add the other one, or leave both out")
    fee = 0 if platform_fee is None else parse_percent(platform_fee)
    if fee > 1000:
        raise UsageError("the platform's fee is above 10 percent", "the contract takes at most 10")
    windows = {name.replace("minutes", "seconds"): 60 * value for name, value in minutes.items()}
    accounts = [parse_account(text) if text else parse_account(_NOTHING) for text in (platform, steward)]
    return Setup(parse_account(token), accounts[0], fee, accounts[1], **windows)


def _plan(deployer: Any, setup: Any) -> list[dict[str, Any]]:
    planned = deployer.plan(setup)
    fixed = [
        ("payment token", planned.token.describe()),
        ("platform", f"{setup.platform_fee / 100:g} % of every payment to {setup.platform}"),
        ("steward", f"{setup.steward} may stop sales"),
    ]
    said = [text for text in fixed if _NOTHING not in text[1]]
    if setup.steward == _NOTHING:
        said.append(("steward", "nobody can stop sales, and no steward can be named later"))
    windows = [f"{name} {getattr(setup, f'{name}_seconds') // 60} minutes" for name in _WINDOWS]
    said.append(("windows", ", ".join(windows)))
    account = deployer.signer.account if deployer.has_keys else "an account whose keys are made then; it needs gas"
    first = f"from {account}; what follows is fixed for good"
    rows = [(f"market on chain {planned.chain_id}", first), *said]
    gas = format_coin(planned.gas_wei)
    return [
        {"what": what, "amount": "", "gas": gas if place == 0 else "", "consequence": text}
        for place, (what, text) in enumerate(rows)
    ]


def _in_words(terms: dict[str, Any]) -> dict[str, Any]:
    windows = {name: f"{terms[f'{name}Window'] // 60} minutes" for name in _WINDOWS}
    platform = f"{terms['platformFee'] / 100:g} % to {terms['platform']}" if terms["platformFee"] else "takes nothing"
    steward = "nobody can stop sales" if terms["steward"] == _NOTHING else f"{terms['steward']} may stop sales"
    return {"platform": platform, "steward": steward} | {f"{name} window": text for name, text in windows.items()}
