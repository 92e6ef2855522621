"""`viz-node adapters`, `generate` and `export`: using what is in the library."""

from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import click

from viz_node.cli import printer
from viz_node.cli.commands.reports import report_adapter
from viz_node.cli.confirm import may_lose, yes_option
from viz_node.cli.terminal import Terminal, detach_option, json_option, pass_terminal, selected_works
from viz_node.cli.within import Decimal, Whole
from viz_node.cli.words import tokens
from viz_node.domain.counting import counted
from viz_node.domain.limits import MIN_P, NEW_TOKENS, SEED, TEMPERATURE, TOP_P, USE_TOKENS
from viz_node.domain.strict_json import parse_json
from viz_node.errors import UsageError

MAX_MESSAGES_BYTES = 512 * 1024


@click.group("adapters", invoke_without_command=True)
@json_option
@click.pass_context
def adapters_command(ctx: click.Context) -> None:
    """Adapters in this node's library, which `adapters` alone lists: list, report, import, remove."""
    if ctx.invoked_subcommand is None:
        _list_adapters(ctx.ensure_object(Terminal))


@adapters_command.command("list")
@json_option
@pass_terminal
def list_adapters(terminal: Terminal) -> None:
    """List the adapters that were trained here, imported or fetched."""
    _list_adapters(terminal)


def _list_adapters(terminal: Terminal) -> None:
    columns = ("name", "adapter_id", "base", "origin", "evaluation", "state")
    empty = "no adapters yet; train one: viz-node train NAME --content all"
    terminal.output.rows(terminal.client.call_list("adapters_list"), columns, empty)


@adapters_command.command("remove")
@click.argument("adapter")
@yes_option
@json_option
@pass_terminal
def remove_adapter(terminal: Terminal, adapter: str, yes: bool) -> None:
    """Remove an unpublished or fetched ADAPTER from this node."""

    def losses(plan: Mapping[str, Any]) -> tuple[str, list[str]]:
        return str(plan["name"]), [f"{plan['name']} is {plan['origin']} and loses {plan['loses']}."]

    name = may_lose(terminal, lambda: terminal.client.call("plan_adapters_remove", adapter=adapter), losses, yes)
    answer = terminal.client.call("adapters_remove", adapter=name)
    if terminal.output.is_json:
        terminal.output.document(answer)
    terminal.output.line(f"removed {answer['name']}")


@adapters_command.command("import")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--name", help="Name in this library.  [default: that of DIRECTORY]")
@click.option("--base", metavar="NAME", help="Installed base model.  [default: the one that the adapter names]")
@click.option(
    "--content",
    multiple=True,
    metavar="WORK[,WORK…]",
    help="Works that it was trained on, by your statement; their held-out part evaluates it. May be repeated.",
)
@click.option("--dry-run", is_flag=True, help="Only read the folder and show what would be taken in.")
@detach_option
@json_option
@pass_terminal
def import_adapter(
    terminal: Terminal, /, directory: Path, name: str | None, content: tuple[str, ...], dry_run: bool, **asked: object
) -> None:
    """Take in a LoRA adapter that PEFT, TRL, Unsloth, Axolotl or LLaMA-Factory wrote to DIRECTORY.

    It is rewritten so that it computes what it computed in PEFT, and compared with PEFT on its base model. What cannot
    be rewritten exactly is refused. Nothing in DIRECTORY is changed or run.
    """
    folder = directory.absolute()
    works = selected_works(terminal, content) if content else []
    arguments = {"directory": str(folder), "name": name or folder.name, "base": asked["base"], "content": works}
    if dry_run:
        terminal.output.body(terminal.client.call("plan_adapters_import", **arguments))
        return
    job = terminal.run_job(terminal.client.call("adapters_import", **arguments), bool(asked["detach"]))
    if job is not None:
        terminal.output.result(job)


adapters_command.add_command(report_adapter)


def said(chat: bool, system: object, path: object, prompt: object) -> dict[str, object]:
    """The prompt, or the messages in its place. Raises: UsageError."""
    if not chat:
        if system is not None or path is not None:
            raise UsageError("--system and --messages are for a conversation", "add --chat")
        return {"prompt": prompt}
    before = [] if path is None else read_messages(Path(str(path)))
    told = [] if system is None else [{"role": "system", "content": system}]
    return {"prompt": "", "messages": [*told, *before, {"role": "user", "content": prompt}]}


def read_messages(path: Path) -> list[object]:
    """The messages of a JSON file; the node checks each. Raises: UsageError."""
    hint = 'a list: [{"role": "user", "content": "…"}, {"role": "assistant", "content": "…"}]'
    try:
        with path.open("rb") as file:
            body = parse_json(file.read(MAX_MESSAGES_BYTES + 1))
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint) from error
    except (ValueError, RecursionError) as error:
        raise UsageError(f"{path} is not JSON", hint) from error
    if not isinstance(body, list):
        raise UsageError(f"{path} is no list of messages", hint)
    return body


def read_along(terminal: Terminal, job_id: str) -> str:
    """Show a text while the job writes it, if a person sits there; what was shown of it."""
    shown = ""
    if not (terminal.output.has_live_progress and printer.is_terminal()):
        return shown
    with closing(terminal.client.stream("generate_follow", job=job_id)) as records:
        with printer.Bar("loading the model", is_passing=True):
            record = next(records, None)
        while record is not None:
            text = str(record.get("text", ""))
            printer.write_piece(text)
            shown += text
            record = next(records, None)
    return shown


@click.command("generate")
@click.argument("adapter")
@click.argument("prompt")
@click.option("--max-new-tokens", type=Whole(NEW_TOKENS), default=64, show_default=True)
@click.option(
    "--temperature",
    type=Decimal(TEMPERATURE),
    help="Higher is more varied; 0 takes the likeliest token.  [default: 0.8]",
)
@click.option(
    "--top-p", type=Decimal(TOP_P), help="Draw among the likeliest tokens of this total probability.  [default: 1]"
)
@click.option(
    "--min-p", type=Decimal(MIN_P), help="Leave out tokens below this share of the likeliest.  [default: 0.1]"
)
@click.option("--seed", type=Whole(SEED), help="The same seed writes the same text.  [default: 1]")
@click.option("--stop", multiple=True, metavar="TEXT", help="End before this text; may be given again.")
@click.option("--chat", is_flag=True, help="Answer PROMPT as a message, by the base model's chat template.")
@click.option("--system", metavar="TEXT", help="What the assistant is told before; with --chat.")
@click.option(
    "--messages",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Messages before PROMPT: a JSON list of objects with role and content; with --chat.",
)
@click.option("--metered", is_flag=True, help="Run on the owner's node, paid as one use of an open channel.")
@json_option
@pass_terminal
def generate_command(terminal: Terminal, /, metered: bool, chat: bool, stop: tuple[str, ...], **asked: object) -> None:
    """Continue PROMPT with ADAPTER on its base model, or answer it."""
    order = {name: value for name, value in asked.items() if value is not None} | ({"stop": list(stop)} if stop else {})
    order |= said(chat, order.pop("system", None), order.pop("messages", None), order["prompt"])
    if metered and (chosen := sorted(order.keys() - {"adapter", "prompt", "max_new_tokens"})):
        chosen = ["chat"] if chat else chosen
        option = chosen[0].replace("_", "-")
        raise UsageError(f"--{option} is the owner's choice when you pay per use", f"leave --{option} out")
    if metered:
        USE_TOKENS.check(order["max_new_tokens"])
    answer = terminal.client.call("generate_metered" if metered else "generate", **order)
    shown = "" if metered else read_along(terminal, str(answer["job_id"]))
    job = terminal.run_job(answer, False, is_quiet=bool(shown))
    assert job is not None
    if terminal.output.is_json:
        terminal.output.document(job)
    result = job["result"]
    whole = str(result["text"])
    # After a restart of the node in between, what was shown is not how the text begins.
    terminal.output.text(whole.removeprefix(shown) if whole.startswith(shown) else f"\n{whole}")
    if cut := result.get("prompt_cut"):
        terminal.output.news(f"the prompt was too long: its first {counted(int(cut), 'token')} were left out")
    if not str(result["text"]).strip():
        terminal.output.news(
            "the model ended at once and wrote nothing; try a longer prompt, or one that ends in mid-sentence"
        )
    if metered:
        paid, left, channel = tokens(result["paid"]), result["uses_left"], result["channel"]
        terminal.output.news(f"paid {paid}; channel {channel} pays for {left} more")


@click.command("export")
@click.argument("adapter")
@click.argument("directory", type=click.Path(file_okay=False, path_type=Path))
@json_option
@pass_terminal
def export_command(terminal: Terminal, adapter: str, directory: Path) -> None:
    """Write ADAPTER to DIRECTORY, for plain `PeftModel.from_pretrained`, with a model card."""
    target = str(directory.absolute())
    answer = terminal.client.call("export", adapter=adapter, directory=target)
    if terminal.output.is_json:
        terminal.output.document(answer)
    terminal.output.line(f"written to {answer.get('directory', target)}")
