"""`viz-node base`: the base models that adapters are trained on."""

from pathlib import Path
from typing import Any

import click

from viz_node.cli.terminal import Terminal, detach_option, json_option, pass_terminal
from viz_node.cli.within import Whole
from viz_node.domain.counting import counted
from viz_node.domain.limits import PRETRAIN_STEPS, SEED
from viz_node.domain.pretraining import RECIPE_HINT
from viz_node.domain.sources import MAX_LIST_BYTES, SOURCES_HINT
from viz_node.domain.training import SHIPPED_BASE
from viz_node.errors import NotFoundError, UsageError
from viz_node.files import read_toml

Row = dict[str, Any]
_LEAST_DIGITS = 6
_MOST_TITLES = 5


@click.group("base")
def base_command() -> None:
    """Base models: list, show, use, install, train, build."""


@base_command.command("list")
@json_option
@pass_terminal
def list_bases(terminal: Terminal) -> None:
    """List the base models on this machine."""
    rows = terminal.client.call_list("base_list")
    columns = [name for name in rows[0] if not isinstance(rows[0][name], dict | list)] if rows else []
    terminal.output.rows(rows, columns, "" if rows else _why_none(terminal))


def _why_none(terminal: Terminal) -> str:
    """What comes, or what to do, where no base model is installed yet."""
    jobs = () if terminal.output.is_json else terminal.client.call_list("jobs_list")
    for job in jobs:
        if job["kind"] in ("base_install", "base_build", "base_train") and job["state"] in ("queued", "running"):
            return f"no base model yet; one is on its way: viz-node jobs show {job['job_id']} --follow"
    return "no base model yet; install the one of this package: viz-node base install"


@base_command.command("show")
@click.argument("name")
@json_option
@pass_terminal
def show(terminal: Terminal, name: str) -> None:
    """Show the base model NAME and its origin; `--json` has the whole provenance, with sources, curve and samples."""
    row = _found(terminal, name)
    terminal.output.body(row if terminal.output.is_json else _in_short(row))


def _in_short(row: Row) -> Row:
    """Without the long lists of a provenance, which nobody reads in a terminal."""
    kept = {name: value for name, value in row.get("provenance", {}).items() if not isinstance(value, list)}
    sources = row.get("provenance", {}).get("sources")
    rows = [one for one in sources if isinstance(one, dict)] if isinstance(sources, list) else []
    titles = [str(one.get("title") or one.get("name")) for one in rows]
    if len(titles) > _MOST_TITLES:
        titles[_MOST_TITLES:] = [f"and {len(titles) - _MOST_TITLES} more"]
    return {**row, "provenance": kept | ({"sources": "; ".join(titles)} if titles else {})}


def _found(terminal: Terminal, name: str) -> Row:
    """The base model of that name, or whose digest begins so. Raises: NotFoundError, UsageError (of several)."""
    rows = terminal.client.call_list("base_list")
    named = [row for row in rows if row.get("name") == name]
    alike = [row for row in rows if len(name) >= _LEAST_DIGITS and str(row.get("digest", "")).startswith(name.lower())]
    if len(named or alike) > 1:
        raise UsageError(f"more than one base model is called {name!r}", "give more digits of its digest")
    for row in named or alike:
        return row
    raise NotFoundError(f"no base model is called {name!r}", "viz-node base list")


@base_command.command("use")
@click.argument("name")
@json_option
@pass_terminal
def use(terminal: Terminal, name: str) -> None:
    """Make NAME (or the model with this digest) the default base model of `train`."""
    base = terminal.client.call("base_use", base=str(_found(terminal, name).get("digest") or name))
    if terminal.output.is_json:
        terminal.output.document(base)
    terminal.output.line(f"the default base model is {base.get('name', name)} now; adapters trained before keep theirs")


@base_command.command("install")
@click.argument("name", default=SHIPPED_BASE)
@detach_option
@json_option
@pass_terminal
def install(terminal: Terminal, name: str, detach: bool) -> None:
    """Install the base model NAME: the one of this package by default, or hf:<repo>@<revision>."""
    job = terminal.run_job(terminal.client.call("base_install", base=name), detach)
    _tell(terminal, job)


@base_command.command("train")
@click.argument("sources", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--texts",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
    metavar="DIR",
    help="Folder of the texts that the list names by path.  [default: that of the list]",
)
@click.option(
    "--recipe", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="Sizes and steps in TOML."
)
@click.option("--steps", type=Whole(PRETRAIN_STEPS), help="Steps, in place of the recipe's.")
@click.option("--dry-run", is_flag=True, help="Only check the list and show what would be done.")
@detach_option
@json_option
@pass_terminal
def train(terminal: Terminal, /, sources: Path, texts: Path | None, dry_run: bool, detach: bool, **sizes: Any) -> None:
    """Train a base model from scratch on the cleared texts of the list SOURCES.

    The list is checked, fetched and read first; a text of unknown rights is refused. The job takes hours, survives
    interruptions, and goes on where it was: Ctrl-C stops watching it, not the training.
    """
    recipe = read_toml(sizes["recipe"], RECIPE_HINT) if sizes["recipe"] else {}
    if sizes["steps"] is not None:
        recipe["steps"] = sizes["steps"]
    arguments = {
        "sources": read_toml(sources, SOURCES_HINT, MAX_LIST_BYTES),
        "texts": str((texts or sources.parent).resolve()),
        "recipe": recipe,
    }
    plan = terminal.client.call("plan_base_train", **arguments)
    if dry_run:
        _show_plan(terminal, plan)
        return
    job = terminal.run_job(terminal.client.call("base_train", **arguments), detach)
    _tell(terminal, job)


def _tell(terminal: Terminal, job: Row | None) -> None:
    """What a job has brought: a base model."""
    if job is None:
        return
    base = (job.get("result") or {}).get("base") or {}
    if terminal.output.is_json or not base:
        terminal.output.result(job)
        return
    weights = f"{base.get('parameters', 0):,} weights" if isinstance(base.get("parameters"), int) else "a base model"
    terminal.output.line(f"{base.get('name')} is installed: {weights}, license {base.get('license')}")
    terminal.output.line(f"next: viz-node train NAME --content all --base {base.get('name')}")


def _show_plan(terminal: Terminal, plan: Row) -> None:
    if terminal.output.is_json:
        terminal.output.document(plan)
        return
    terminal.output.rows(plan["sources"], ("title", "authors", "license", "use"))
    told = f"{counted(len(plan['sources']), 'source')}, {plan['steps']} steps, {plan['tokens']} tokens"
    terminal.output.line(f"{plan['name']} under {plan['license']}: {told}")


@base_command.command("build")
@click.option("--seed", type=Whole(SEED), default=0, show_default=True, help="The same seed gives the same model.")
@detach_option
@json_option
@pass_terminal
def build(terminal: Terminal, seed: int, detach: bool) -> None:
    """Build the synthetic base model from generated text under CC0.

    It knows 369 words, for tests, and for adapters that were trained on it; `base install` brings one that writes
    English.
    """
    job = terminal.run_job(terminal.client.call("base_build", seed=seed), detach)
    _tell(terminal, job)
