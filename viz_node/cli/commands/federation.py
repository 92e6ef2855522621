"""`viz-node federation`: several nodes train one adapter, each on its own works."""

import click

from viz_node.cli.commands.training import print_trained
from viz_node.cli.terminal import (
    Terminal,
    content_option,
    detach_option,
    json_option,
    pass_terminal,
    selected_works,
)
from viz_node.cli.within import Whole
from viz_node.domain.limits import MEMBERS, ROUNDS

PLAIN_UPDATES = (
    "note: works stay on their node, but updates travel to the coordinating node in plain form, and plain updates can "
    "leak text; train only with members you trust (docs/threat-model.md)"
)


@click.group("federation")
def federation_command() -> None:
    """Train one adapter with other nodes: create, join, run, status.

    Works stay where they are; only updates of the adapter travel. Today these updates are not protected against the
    coordinating node: plain updates can leak text. See docs/threat-model.md.
    """


@federation_command.command("create")
@click.argument("name")
@content_option
@click.option(
    "--members", type=Whole(MEMBERS), default=2, show_default=True, help="Number of nodes, including this one."
)
@click.option("--rounds", type=Whole(ROUNDS), default=3, show_default=True)
@click.option(
    "--split",
    default="equal",
    show_default=True,
    metavar="ACCOUNT=PERCENT,…",
    help="Division of the adapter's revenue; members agree to it by joining.",
)
@click.option("--base", metavar="NAME", help="Base model.  [default: the node's]")
@json_option
@pass_terminal
def create(terminal: Terminal, /, name: str, content: tuple[str, ...], split: str, **asked: object) -> None:
    """Propose the federated adapter NAME and print the invitation for the other members."""
    if split != "equal":
        from viz_node.domain.royalty import parse_split

        parse_split(split)
    works = selected_works(terminal, content)
    answer = terminal.client.call("federation_create", name=name, content=works, split=split, **asked)
    federation = answer["federation_id"]
    terminal.output.facts(answer, [("federation", federation), ("invite", answer["invite"])])
    terminal.output.line("next: every other member runs `federation join INVITE --content …` on a node of their own,")
    terminal.output.line(f"      then here: viz-node federation run {federation}")
    terminal.output.news(PLAIN_UPDATES)


@federation_command.command("join")
@click.argument("invite")
@content_option
@json_option
@pass_terminal
def join(terminal: Terminal, invite: str, content: tuple[str, ...]) -> None:
    """Accept INVITE with your own works, and agree to its terms and split."""
    answer = terminal.client.call("federation_join", invite=invite, content=selected_works(terminal, content))
    terminal.output.body(answer)
    terminal.output.news(PLAIN_UPDATES)


@federation_command.command("run")
@click.argument("federation")
@detach_option
@json_option
@pass_terminal
def run(terminal: Terminal, federation: str, detach: bool) -> None:
    """Run the rounds of FEDERATION (its id or name), from the node that created it."""
    job = terminal.run_job(terminal.client.call("federation_run", federation=federation), detach)
    if job is not None:
        print_trained(terminal, job, str((job.get("result") or {}).get("name", federation)))


@federation_command.command("status")
@click.argument("federation", required=False)
@json_option
@pass_terminal
def status(terminal: Terminal, federation: str | None) -> None:
    """Show members, rounds and state of FEDERATION (its id or name), or of all federations."""
    if federation is not None:
        terminal.output.body(terminal.client.call("federation_status", federation=federation))
        return
    columns = ("federation_id", "name", "role", "state", "members", "rounds", "base")
    empty = "no federation yet; propose one: viz-node federation create NAME --content all"
    terminal.output.rows(terminal.client.call_list("federation_status"), columns, empty)
