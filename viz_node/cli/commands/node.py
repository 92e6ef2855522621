"""`viz-node start`, `wait`, `status`, `peers`, `id`, `doctor` and `demo`."""

import time
from pathlib import Path
from shlex import quote
from typing import Any

import click

from viz_node.cli import printer
from viz_node.cli.output import Output
from viz_node.cli.terminal import Terminal, json_option, pass_terminal
from viz_node.errors import DeadlineError, NodeNotRunningError, StorageError

WAIT_POLL_SECONDS = 0.1
FAILED_CHECK_STATUS = 1


@click.command("start")
@click.option(
    "--dev",
    is_flag=True,
    help="Also set up a local chain with the contracts, test money, a base model and a sample.",
)
@click.option(
    "--join",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="HOME",
    help="Use the chain of the node in this home, and add that node as a peer.",
)
@click.option(
    "--port", type=click.IntRange(1, 65535), help="Port of the dashboard and local API.  [default: the last one]"
)
@click.option("--listen", metavar="MULTIADDR", help="Address to listen on for peers, such as /ip4/0.0.0.0/tcp/4001.")
@click.option("--sample/--no-sample", default=True, help="Publish a sample adapter on the first --dev start.")
@click.option(
    "--fetch-anvil",
    is_flag=True,
    help="Let npm download the local chain's program into HOME/tools if it is missing.",
)
@pass_terminal
def start_command(
    terminal: Terminal, /, dev: bool, join: Path | None, sample: bool, fetch_anvil: bool, **where: Any
) -> None:
    """Run the node until it is stopped. The first start creates keys, configuration and database without questions."""
    from viz_node.cli.screen import StartScreen
    from viz_node.daemon.run import start

    if dev and join is None:
        _provide_anvil(terminal, fetch_anvil)
    joined = None if join is None else join.resolve()
    with StartScreen(terminal.output) as screen:
        status = start(
            terminal.home, screen, sample, dev=dev, join=joined, api_port=where["port"], listen=where["listen"]
        )
    raise click.exceptions.Exit(status)


def _provide_anvil(terminal: Terminal, is_told: bool) -> None:
    """Fetch it when it is missing and a person says so."""
    from viz_node.daemon import anvil_package

    if anvil_package.find_anvil_program(terminal.home) is not None:
        return
    question = f"The local chain needs Anvil {anvil_package.VERSION}. Fetch it with npm into {terminal.home}/tools?"
    if is_told or (printer.can_ask() and printer.ask_yes(question)):
        terminal.output.news(f"fetching Anvil {anvil_package.VERSION} with npm")
        anvil_package.fetch_anvil(terminal.home)


@click.command("wait")
@click.option("--timeout", type=click.FloatRange(min=0), default=60.0, show_default=True, metavar="SECONDS")
@json_option
@pass_terminal
def wait_command(terminal: Terminal, timeout: float) -> None:
    """Wait until the node of this home is ready."""
    begun = time.monotonic()
    while not terminal.client.is_ready():
        if time.monotonic() - begun > timeout:
            raise DeadlineError(
                f"the node on {terminal.home} was not ready within {timeout:g} s",
                f"viz-node --home {quote(str(terminal.home))} doctor",
            )
        time.sleep(WAIT_POLL_SECONDS)
    if terminal.output.is_json:
        terminal.output.document({"ready": True, "seconds": round(time.monotonic() - begun, 2)})
    terminal.output.line("ready")


@click.command("status")
@json_option
@pass_terminal
def status_command(terminal: Terminal) -> None:
    """Show the node at a glance: identity, chain, money, works and adapters."""
    terminal.output.body(terminal.client.call("status"))


@click.command("peers")
@json_option
@pass_terminal
def peers_command(terminal: Terminal) -> None:
    """List the peers that this node knows."""
    empty = f"no peers yet; a second node: viz-node --home OTHER start --dev --join {quote(str(terminal.home))}"
    terminal.output.rows(terminal.client.call_list("peers"), ("peer_id", "connected", "addresses"), empty)


@click.command("id")
@json_option
@pass_terminal
def id_command(terminal: Terminal) -> None:
    """Show this node's peer id, account and addresses."""
    terminal.output.body(terminal.client.call("id"))


@click.command("doctor")
@click.option(
    "--report",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Also write one file for a bug report: checks, versions, failed jobs, log; without keys, titles and names.",
)
@json_option
@pass_terminal
def doctor_command(terminal: Terminal, report: Path | None) -> None:
    """Check everything the node needs, running or not, and print fixes. Exit status 1 if a check fails."""
    try:
        checks = terminal.client.ask_soon("doctor")
    except (NodeNotRunningError, DeadlineError, StorageError):
        from viz_node.daemon.doctor import check
        from viz_node.domain.answer import as_json

        checks = as_json(check(terminal.home))
    print_checks(terminal.output, checks)
    if report is not None:
        from viz_node.daemon.report import write_report

        write_report(terminal.home, checks, report)
        terminal.output.line(f"written: {report}; read it before you send it")
    if any(item["state"] == "fail" for item in checks):
        raise click.exceptions.Exit(FAILED_CHECK_STATUS)


def print_checks(output: Output, checks: list[dict[str, Any]]) -> None:
    """What each check found, and the fix below those that are not ok."""
    if output.is_json:
        output.document(checks)
        return
    told: list[tuple[str, str]] = []
    for item in checks:
        told.append((f"{item['state']:<4}  {item['check']}", item["detail"]))
        if item["state"] != "ok" and item.get("fix"):
            told.append(("", f"fix: {item['fix']}"))
    output.told(told)


@click.command("demo")
@click.option("--keep", is_flag=True, help="Keep the nodes' homes and logs; after a failed step they are always kept.")
@json_option
@pass_terminal
def demo_command(terminal: Terminal, keep: bool) -> None:
    """Run the whole story in real processes: two owners train together, a peer buys, an auditor checks.

    The demo reuses a synthetic base model that this home's node has built, and touches nothing else in the home.

    Exit status 0 means that every step was verified.
    """
    from viz_node.cli.demo import run_demo

    raise click.exceptions.Exit(run_demo(terminal.output, terminal.home, keep))
