"""`viz-node content`: the works that this node's owner holds."""

from pathlib import Path

import click

from viz_node.cli.terminal import Terminal, json_option, pass_terminal
from viz_node.errors import UsageError

RIGHTS = ("owned", "licensed", "public-domain")
COLUMNS = ("work_id", "title", "author", "rights", "media_type", "characters")


@click.group("content")
def content_command() -> None:
    """The works that you own: add, list, show, remove."""


@content_command.command("add")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option("--rights", type=click.Choice(RIGHTS), required=True, help="Why you may license what is learnt from it.")
@click.option("--author", required=True, metavar="NAME", help="Who wrote it.")
@json_option
@pass_terminal
def add(terminal: Terminal, paths: tuple[Path, ...], rights: str, author: str) -> None:
    """Read txt, md, html, pdf, docx and epub files; a folder recursively.

    Texts are stored encrypted in the node's home. A file that cannot be read is listed with the reason; the rest goes
    in.
    """
    chosen = [str(path.absolute()) for path in paths]
    answer = terminal.client.call("content_add", paths=chosen, rights=rights, author=author)
    output = terminal.output
    if output.is_json:
        output.document(answer)
    else:
        if answer["added"]:
            output.rows(answer["added"], [name for name in COLUMNS if name in answer["added"][0]])
        for refused in answer["refused"]:
            output.news(f"not added: {refused['path']}: {refused['error']}")
        output.line(f"{len(answer['added'])} added, {len(answer['refused'])} not added")
        if answer["added"]:
            output.line("next: viz-node train NAME --content all")
    if not answer["added"] and not output.is_json:
        raise UsageError("no file went in", "the reasons stand above; readable are txt, md, html, pdf, docx, epub")
    if not answer["added"]:
        raise click.exceptions.Exit(2)


@content_command.command("list")
@json_option
@pass_terminal
def list_works(terminal: Terminal) -> None:
    """The works in this node."""
    empty = "no works yet; add some: viz-node content add PATH… --rights owned --author NAME"
    terminal.output.rows(terminal.client.call_list("content_list"), COLUMNS, empty)


@content_command.command("show")
@click.argument("work")
@json_option
@pass_terminal
def show(terminal: Terminal, work: str) -> None:
    """What the node knows of WORK (its id, or the id's first digits)."""
    terminal.output.body(terminal.client.call("content_show", work=work))


@content_command.command("remove")
@click.argument("work")
@json_option
@pass_terminal
def remove(terminal: Terminal, work: str) -> None:
    """Erase WORK's text, key and salt; outside, only noise is left of it."""
    answer = terminal.client.call("content_remove", work=work)
    if terminal.output.is_json:
        terminal.output.document(answer)
    terminal.output.line(f"removed {answer.get('work_id', work)}")
    if answer.get("adapters"):
        terminal.output.line(f"adapters that learnt from it stay: {', '.join(answer['adapters'])}")
    for job in answer.get("jobs", ()):
        terminal.output.line(f"a job that needs it will fail: viz-node jobs cancel {job}")
