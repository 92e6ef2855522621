"""`viz-node train` and `viz-node jobs`."""

import tomllib
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
from viz_node.errors import UsageError


def read_recipe(path: Path | None) -> dict[str, Any] | None:
    """The recipe of a TOML file, its `[recipe]` table if it has one. Raises: UsageError."""
    if path is None:
        return None
    try:
        body = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path} is not a recipe: {error}", "see configs/training/") from error
    recipe = body.get("recipe", body)
    if not isinstance(recipe, dict):
        raise UsageError(f"{path} is not a recipe: `recipe` is not a table", "see configs/training/")
    return recipe


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
    else:
        terminal.output.line(f"{name}: done")
    terminal.output.line(f'next: viz-node generate {name} "…"   or   viz-node publish {name} --price 5.00')


@click.command("train")
@click.argument("name")
@content_option
@click.option("--base", metavar="NAME", help="Base model, or hf:<repo>@<revision>.  [default: the node's]")
@click.option(
    "--recipe", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="TOML; see configs/training/."
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


@click.group("jobs")
def jobs_command() -> None:
    """Durable jobs: list, show, cancel, resume."""


@jobs_command.command("list")
@json_option
@pass_terminal
def list_jobs(terminal: Terminal) -> None:
    """Every job, with its state."""
    rows = terminal.client.call_list("jobs_list")
    terminal.output.rows(rows, ("job_id", "kind", "name", "state", "progress", "error"), "no jobs yet")


@jobs_command.command("show")
@click.argument("job")
@click.option("--follow", is_flag=True, help="Watch it until it ends.")
@json_option
@pass_terminal
def show(terminal: Terminal, job: str, follow: bool) -> None:
    """What JOB did so far, its result or its error."""
    if follow:
        terminal.output.body(terminal.run_job({"job_id": job}, False) or {})
    else:
        terminal.output.body(terminal.client.call("jobs_show", job=job))


@jobs_command.command("cancel")
@click.argument("job")
@json_option
@pass_terminal
def cancel(terminal: Terminal, job: str) -> None:
    """Stop JOB; its checkpoint stays."""
    answer = terminal.client.call("jobs_cancel", job=job)
    if terminal.output.is_json:
        terminal.output.document(answer)
    terminal.output.line(f"cancelled; go on with it: viz-node jobs resume {job}")


@jobs_command.command("resume")
@click.argument("job")
@detach_option
@json_option
@pass_terminal
def resume(terminal: Terminal, job: str, detach: bool) -> None:
    """Go on with a failed or cancelled JOB where it stopped."""
    answer = terminal.client.call("jobs_resume", job=job)
    ended = terminal.run_job({"job_id": job, **answer}, detach)
    if ended is not None:
        terminal.output.body(ended)
