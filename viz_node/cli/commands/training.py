"""`viz-node train`."""

from pathlib import Path
from typing import Any

import click

from viz_node.cli.terminal import (
    Terminal,
    content_option,
    detach_option,
    json_option,
    pass_terminal,
    selected_works,
)
from viz_node.domain.recipe import HINT, parse_recipe
from viz_node.domain.training import is_worse_than_base
from viz_node.errors import UsageError
from viz_node.files import read_toml


def read_recipe(path: Path | None) -> dict[str, Any] | None:
    """The recipe of a TOML file, its `[recipe]` table if it has one. Raises: UsageError."""
    if path is None:
        return None
    body = read_toml(path, HINT)
    if "recipe" in body and len(body) > 1:
        others = ", ".join(sorted(name for name in body if name != "recipe"))
        raise UsageError(f"{path}: recipe: unknown {others} beside the table [recipe]", HINT)
    recipe = body.get("recipe", body)
    try:
        parse_recipe(recipe)
    except UsageError as error:
        raise UsageError(f"{path}: {error.message}", error.hint) from error
    return dict(recipe)


def print_trained(terminal: Terminal, job: dict[str, Any], name: str) -> None:
    """The evaluation of a new adapter and what to do with it."""
    result = job.get("result") or {}
    evaluation = result.get("evaluation") or {}
    if terminal.output.is_json:
        terminal.output.document(job)
        return
    before, after = evaluation.get("perplexity_before"), evaluation.get("perplexity_after")
    if before and after:
        terminal.output.line(f"{name}: perplexity on held-out text {before} before, {after} after")
        if is_worse_than_base(evaluation):
            terminal.output.line(f"{name} writes worse than its base model, so it cannot be published")
            terminal.output.line(f"next: viz-node adapters report {name}, then train on more text or at a lower rate")
            return
    else:
        terminal.output.line(f"{name}: done")
    training = result.get("training") or {}
    if training.get("not_adapted"):
        share = f"it changes {training.get('adapted_percent')} % of the weights in the model's blocks"
        terminal.output.line(f"{share}; as they were stay {training['not_adapted']}")
    terminal.output.line(f'next: viz-node generate {name} "…", or: viz-node publish {name} --price 5.00')


@click.command("train")
@click.argument("name")
@content_option
@click.option("--base", metavar="NAME", help="Base model, or hf:<repo>@<revision>.  [default: see `base list`]")
@click.option(
    "--recipe",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Recipe in TOML; see configs/training/.",
)
@detach_option
@json_option
@pass_terminal
def train_command(
    terminal: Terminal, name: str, content: tuple[str, ...], base: str | None, recipe: Path | None, detach: bool
) -> None:
    """Train the adapter NAME on your works: 4-bit base, LoRA, checkpoints, evaluation on held-out text.

    The job survives interruptions: Ctrl-C stops watching it, not the training.
    """
    settings = read_recipe(recipe)
    works = selected_works(terminal, content)
    answer = terminal.client.call("train", name=name, content=works, base=base, recipe=settings)
    job = terminal.run_job(answer, detach)
    if job is not None:
        print_trained(terminal, job, name)
