"""`viz-node train` and `viz-node recipe`."""

import os
from dataclasses import fields
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
from viz_node.cli.within import Decimal, Whole
from viz_node.cli.words import cell
from viz_node.domain.limits import CORES, MEMORY
from viz_node.domain.memory import toml_value
from viz_node.domain.recipe import DEFAULT_RECIPE, HINT, parse_recipe
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
        parse_recipe(DEFAULT_RECIPE | recipe if isinstance(recipe, dict) else recipe)
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
    if training.get("memory_mb"):
        told = f"memory: {training['memory_mb']} MB at most, {training.get('memory_estimated_mb')} MB estimated"
        terminal.output.line(told)
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
@click.option("--cores", type=Whole(CORES), default=0, help="Processor cores to use.  [default: the node's]")
@click.option("--between", default="", metavar="HH:MM-HH:MM", help="Train only between these hours, as 22:00-06:00.")
@detach_option
@json_option
@pass_terminal
def train_command(
    terminal: Terminal, /, name: str, content: tuple[str, ...], recipe: Path | None, detach: bool, **asked: object
) -> None:
    """Train the adapter NAME on your works: 4-bit base, LoRA, checkpoints, evaluation on held-out text.

    The job survives interruptions: Ctrl-C stops watching it, not the training. `jobs cancel` pauses it, `jobs resume`
    goes on.
    """
    settings = read_recipe(recipe)
    works = selected_works(terminal, content)
    answer = terminal.client.call("train", name=name, content=works, recipe=settings, **asked)
    job = terminal.run_job(answer, detach)
    if job is not None:
        print_trained(terminal, job, name)


@click.group("recipe")
def recipe_command() -> None:
    """Recipes of trainings: suggest one for a base model and a machine."""


@recipe_command.command("suggest")
@click.option("--base", metavar="NAME", help="Base model.  [default: see `base list`]")
@click.option("--memory", type=Decimal(MEMORY), metavar="GB", help="Memory of the CPU.  [default: this machine's]")
@click.option("--gpu", type=Decimal(MEMORY), metavar="GB", help="Memory of a GPU of CUDA to train on instead.")
@json_option
@pass_terminal
def suggest(terminal: Terminal, base: str | None, memory: float | None, gpu: float | None) -> None:
    """Print a recipe that fits, as a file for `train --recipe`.

    The memory is an estimate from the base model's sizes; `train` estimates again with your texts, and tells what it
    took in the end.
    """
    if memory is not None and gpu is not None:
        raise UsageError("give --memory or --gpu, not both", "viz-node recipe suggest --gpu 24")
    size = gpu if gpu is not None else memory if memory is not None else machine_memory_gb()
    answer = terminal.client.call("recipe_suggest", base=base, memory_gb=size, is_gpu=gpu is not None)
    if terminal.output.is_json:
        terminal.output.document(answer)
        return
    recipe = parse_recipe(answer.get("recipe"))
    # A line that were wrapped would be no comment any more.
    base_name, taken = cell(answer.get("base"))[:60], cell(answer.get("estimated_mb"))[:20]
    lines = [
        f"# For {base_name}",
        f"# on {'a GPU' if gpu is not None else 'the CPU'} with {size:.4g} GB, of which it takes about {taken} MB.",
        "# Run: viz-node train NAME --content WORK --recipe FILE",
        "",
        "[recipe]",
        *(f"{field.name} = {toml_value(getattr(recipe, field.name))}" for field in fields(recipe)),
    ]
    terminal.output.text("\n".join(lines))


def machine_memory_gb() -> float:
    """All memory of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
