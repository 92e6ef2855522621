"""`viz-node content`: the works that this node's owner holds."""

from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import click

from viz_node.cli.confirm import may_lose, yes_option
from viz_node.cli.follow import progress_for
from viz_node.cli.terminal import Terminal, json_option, pass_terminal
from viz_node.content.files import list_files
from viz_node.domain.counting import counted
from viz_node.domain.names import readable
from viz_node.errors import UsageError

RIGHTS = ("owned", "licensed", "public-domain")
READABLE = "txt, md, html, pdf, docx, odt, rtf, epub, jsonl"
FILES_PER_CALL = 16
COLUMNS = ("work_id", "title", "author", "rights", "language", "characters")


@click.group("content")
def content_command() -> None:
    """Manage your works: add, list, show, duplicates, remove."""


@content_command.command("add")
@click.argument("paths", nargs=-1, required=True, type=click.Path(exists=True, path_type=Path))
@click.option(
    "--rights", type=click.Choice(RIGHTS), required=True, help="Your right to license what a model learns from it."
)
@click.option("--author", required=True, metavar="NAME", help="Author of the works.")
@click.option("--encoding", default="", metavar="NAME", help="Encoding of texts that declare none or a wrong one.")
@click.option("--language", default="", metavar="TAG", help="Language of all of them, as en.  [default: recognized]")
@json_option
@pass_terminal
def add(terminal: Terminal, /, paths: tuple[Path, ...], **said: str) -> None:
    """Read txt, text, md, markdown, html, htm, xhtml, pdf, docx, odt, rtf, epub and jsonl files; a folder recursively.

    Texts are stored encrypted in the node's home. Files that cannot be read reliably are listed with the reason;
    the others are added, with notes on anything guessed or left out. A jsonl file is one work: the fields "text" (or
    "content") of its lines, or conversations.
    """
    output = terminal.output
    if not any(True for _ in list_files([path.absolute() for path in paths])):
        raise UsageError(f"there is no file in {', '.join(map(str, paths))}", f"readable are {READABLE}")
    answer = _add_in_steps(terminal, paths, said)
    if output.is_json:
        output.document(answer)
    else:
        if answer["added"]:
            output.rows(answer["added"], [name for name in COLUMNS if name in answer["added"][0]])
        for work in answer["added"]:
            for note in work.get("notes", ()):
                output.news(f"{work['title']}: {note}")
        for refused in answer["refused"]:
            output.news(f"not added: {refused['path']}: {refused['error']}")
        output.line(f"{len(answer['added'])} added, {len(answer['refused'])} not added")
        if answer["added"]:
            output.line("next: viz-node train NAME --content all")
    if not answer["added"] and not output.is_json:
        raise UsageError("no file went in", f"the reasons stand above; readable are {READABLE}")
    if not answer["added"]:
        raise click.exceptions.Exit(2)


def _add_in_steps(terminal: Terminal, paths: tuple[Path, ...], options: dict[str, str]) -> dict[str, Any]:
    """Some files per call: progress is seen, and what went in before an interruption stays."""
    answer: dict[str, Any] = {"added": [], "refused": []}
    files: list[str] = []
    for file, problem in list_files([path.absolute() for path in paths]):
        if problem:
            answer["refused"].append({"path": readable(str(file)), "error": problem})
        else:
            files.append(str(file))
    state: dict[str, Any] = {"kind": "content add", "state": "running"}
    with progress_for(terminal.output) if len(files) > FILES_PER_CALL else nullcontext() as progress:
        for start in range(0, len(files), FILES_PER_CALL):
            if progress is not None:
                progress.update(state | {"progress": {"phase": "reading", "step": start, "steps": len(files)}})
            part = terminal.client.call("content_add", paths=files[start : start + FILES_PER_CALL], **options)
            answer = {key: [*answer[key], *part[key]] for key in answer}
    return answer


@content_command.command("list")
@json_option
@pass_terminal
def list_works(terminal: Terminal) -> None:
    """List the works in this node."""
    empty = "no works yet; add some: viz-node content add PATH… --rights owned --author NAME"
    works = terminal.client.call_list("content_list")
    if not terminal.output.is_json:
        works = [work | {"notes": len(work.get("notes", ())) or ""} for work in works]
    terminal.output.rows(works, (*COLUMNS, "notes"), empty)


@content_command.command("duplicates")
@json_option
@pass_terminal
def list_duplicates(terminal: Terminal) -> None:
    """List works that are nearly the same, most similar first, by the passages of five words that they share.

    Nothing is removed: what is learnt twice is learnt by heart sooner, so remove one of two works that are the same.
    """
    pairs = terminal.client.call_list("content_duplicates")
    columns = ("percent", "first", "first_title", "second", "second_title")
    terminal.output.rows(pairs, columns, "no works are nearly the same")
    if pairs:
        terminal.output.line(f"next: viz-node content remove {pairs[0].get('second', 'WORK')}")


@content_command.command("show")
@click.argument("work")
@click.option("--text", "with_text", is_flag=True, help="Print the whole text.")
@json_option
@pass_terminal
def show(terminal: Terminal, work: str, with_text: bool) -> None:
    """Show WORK (by its id, the id's first digits, or its title), its notes and the beginning of its text."""
    if not with_text:
        terminal.output.body(terminal.client.call("content_show", work=work))
    elif terminal.output.is_json:
        facts = terminal.client.call("content_show", work=work)
        terminal.output.document(facts | {"text": "".join(_pages(terminal, work))})
    else:
        _print_text(terminal, work)


def _pages(terminal: Terminal, work: str) -> Iterator[str]:
    start: int | None = 0
    while start is not None:
        page = terminal.client.call("content_text", work=work, start=start)
        yield page["text"]
        start = page["next"]


def _print_text(terminal: Terminal, work: str) -> None:
    unfinished = ""
    for page in _pages(terminal, work):
        whole, end, unfinished = (unfinished + page).rpartition("\n")
        if end:
            terminal.output.text(whole)
    terminal.output.text(unfinished)


@content_command.command("remove")
@click.argument("work")
@yes_option
@json_option
@pass_terminal
def remove(terminal: Terminal, work: str, yes: bool) -> None:
    """Permanently erase WORK's text, key and salt; elsewhere, only random-looking digests remain.

    WORK is its id, at least the id's first 8 digits, or its title. Adapters trained on it stay.
    """
    work_id = may_lose(terminal, lambda: terminal.client.call("plan_content_remove", work=work), _losses, yes)
    answer = terminal.client.call("content_remove", work=work_id)
    if terminal.output.is_json:
        terminal.output.document(answer)
    terminal.output.line(f"removed {answer['title']}, {answer['work_id']}")
    if answer["adapters"]:
        terminal.output.line(f"adapters that learnt from it stay: {', '.join(answer['adapters'])}")
    for job in answer["jobs"]:
        terminal.output.line(f"a job that needs it will fail: viz-node jobs cancel {job}")


def _losses(plan: Mapping[str, Any]) -> tuple[str, list[str]]:
    lines = [
        f"{plan['title']} by {plan['author']}, {counted(plan['characters'], 'character')}, {plan['work_id']}",
        "Its text, key and salt are erased for good; the file that it was read from stays where it is.",
    ]
    for adapter in plan["adapters"]:
        lines.append(f"The adapter {adapter['name']} learnt from it, and stays; nobody can prove any more from what.")
    lines += [f"The job {job} needs it, and will fail." for job in plan["jobs"]]
    return str(plan["work_id"]), lines
