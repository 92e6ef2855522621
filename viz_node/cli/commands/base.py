"""`viz-node base`: the base models that adapters are trained on."""

import json
from pathlib import Path
from typing import Any

import click

from viz_node.cli.terminal import Terminal, detach_option, json_option, pass_terminal
from viz_node.cli.within import Whole
from viz_node.domain.base_card import UNKNOWN
from viz_node.domain.base_sources import HINT as STATED_HINT
from viz_node.domain.counting import counted
from viz_node.domain.limits import PRETRAIN_STEPS, SEED
from viz_node.domain.pretraining import RECIPE_HINT
from viz_node.domain.sources import MAX_LIST_BYTES, SOURCES_HINT
from viz_node.domain.training import SHIPPED_BASE
from viz_node.errors import StorageError, UsageError
from viz_node.files import read_toml

Row = dict[str, Any]
_MOST_TITLES = 5
_MAKING = {"base_install", "base_build", "base_add", "base_train"}
_IN_OTHER_WORDS = {"parameters", "memory_bytes", "tokens_per_second"}


@click.group("base")
def base_command() -> None:
    """Base models: list, show, use, install, add, accept, train, build."""


@base_command.command("list")
@json_option
@pass_terminal
def list_bases(terminal: Terminal) -> None:
    """List the base models on this machine and those of the catalogue, with what training on each takes here.

    The verdict says what stands behind the rights in its training data: certified, documented, claimed, or unknown.
    Memory and tokens per second are estimates for this machine.
    """
    rows = terminal.client.call_list("base_catalogue")
    if terminal.output.is_json:
        terminal.output.document(rows)
        return
    terminal.output.table(("name", "verdict", "weights", "memory", "tokens/s", "state"), [_cells(row) for row in rows])
    if not any(row.get("digest") for row in rows):
        terminal.output.line(_why_none(terminal))


def _cells(row: Row) -> list[str]:
    speed = row.get("tokens_per_second")
    state = f"{row.get('state')}, accepted" if row.get("accepted") else str(row.get("state"))
    told = _weights(row.get("parameters")), _gib(row.get("memory_bytes")), "-" if speed is None else str(speed), state
    return [str(row.get("name")), str(row.get("verdict")), *told]


def _weights(count: object) -> str:
    """A number of weights in three digits."""
    if not isinstance(count, int):
        return "-"
    size, unit = next(
        ((size, unit) for size, unit in ((10**9, "B"), (10**6, "M"), (10**3, "K")) if count >= size), (1, "")
    )
    return f"{count / size:.3g} {unit}".strip()


def _gib(size_bytes: object) -> str:
    return f"{size_bytes / 2**30:.1f} GiB" if isinstance(size_bytes, int) else "-"


def _why_none(terminal: Terminal) -> str:
    """What comes, or what to do, where no base model is installed yet."""
    jobs = terminal.client.call_list("jobs_list")
    for job in jobs:
        if job["kind"] in ("base_install", "base_build", "base_add", "base_train") and job["state"] in (
            "queued",
            "running",
        ):
            return f"no base model yet; one is on its way: viz-node jobs show {job['job_id']} --follow"
    return "no base model yet; install the one of this package: viz-node base install"


@base_command.command("show")
@click.argument("name")
@click.option(
    "--output",
    type=click.Path(file_okay=False, path_type=Path),
    metavar="DIR",
    help="Write provenance.json of an installed one to DIR, and loss.svg if it was trained by viz-node.",
)
@json_option
@pass_terminal
def show(terminal: Terminal, name: str, output: Path | None) -> None:
    """Show what is known of the base model NAME, installed or of the catalogue: its verdict, why, and who says so.

    `--json` has the whole provenance of an installed one, with sources, curve and samples.
    """
    shown = terminal.client.call("base_show", base=name)
    if output is not None:
        _write(terminal, output, shown)
    if terminal.output.is_json:
        terminal.output.document(shown)
        return
    row, installed = _table(shown.get("row")), _table(shown.get("installed"))
    sizes = {"weights": _weights(row.get("parameters")), "memory": _gib(row.get("memory_bytes"))}
    told = {name: value for name, value in row.items() if value not in ("", None) and name not in _IN_OTHER_WORDS}
    told = {**told, **sizes, "tokens/s": row.get("tokens_per_second")}
    told |= {
        name: shown.get(name)
        for name in ("publisher", "languages", "context_tokens", "access", "unusable")
        if shown.get(name)
    }
    if row.get("base") and shown.get("commit_source"):
        told["revision"] = f"looked up: {shown['commit_source']}"
    terminal.output.body(told)
    statements = shown.get("statements")
    rows = [_table(one) for one in statements] if isinstance(statements, list) else []
    if rows:
        terminal.output.heading("What is said of it, and where:")
        terminal.output.told([(str(one.get("about")), f"{one.get('text')} [{one.get('source')}]") for one in rows])
    if installed:
        terminal.output.heading("As it is installed:")
        terminal.output.body({"path": installed.get("path"), **_in_short(_table(installed.get("provenance")))})


def _write(terminal: Terminal, directory: Path, shown: Row) -> None:
    """Raises: UsageError (it is not installed), StorageError."""
    installed, curve = _table(shown.get("installed")), str(shown.get("curve") or "")
    if not installed:
        raise UsageError("only an installed base model has a provenance", "viz-node base list")
    files = {"provenance.json": json.dumps(installed.get("provenance"), indent=1, ensure_ascii=False) + "\n"}
    files |= {"loss.svg": curve} if curve else {}
    try:
        directory.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (directory / name).write_text(text)
    except OSError as error:
        raise StorageError(f"cannot write to {directory}: {error.strerror}", "choose another folder") from error
    terminal.output.news(f"written to {directory}: {', '.join(files)}")


def _table(value: object) -> Row:
    return value if isinstance(value, dict) else {}


def _in_short(provenance: Row) -> Row:
    """Without the long lists of a provenance, which nobody reads in a terminal."""
    kept = {name: value for name, value in provenance.items() if not isinstance(value, list)}
    sources = provenance.get("sources")
    rows = [one for one in sources if isinstance(one, dict)] if isinstance(sources, list) else []
    titles = [str(one.get("title") or one.get("name")) for one in rows]
    if len(titles) > _MOST_TITLES:
        titles[_MOST_TITLES:] = [f"and {len(titles) - _MOST_TITLES} more"]
    return kept | ({"sources": "; ".join(titles)} if titles else {})


@base_command.command("accept")
@click.argument("name")
@click.argument("reason", required=False)
@click.option("--withdraw", is_flag=True, help="Take an earlier acceptance back.")
@json_option
@pass_terminal
def accept(terminal: Terminal, name: str, reason: str | None, withdraw: bool) -> None:
    """Train on and publish from the base model NAME although its verdict is unknown, for REASON.

    The reason stands in the manifest of every adapter that is trained on it: say why you may use the model.
    """
    if withdraw == (reason is not None):
        raise UsageError("give a reason, or --withdraw", f'viz-node base accept {name} "WHY YOU MAY USE IT"')
    answer = terminal.client.call("base_accept", base=name, reason=reason or "")
    if terminal.output.is_json:
        terminal.output.document(answer)
    elif withdraw:
        terminal.output.line(f"{answer.get('name')} is not accepted any more; published manifests keep what they say")
    else:
        terminal.output.line(f"{answer.get('name')} is accepted; manifests will say: {answer.get('accepted')}")


@base_command.command("add")
@click.argument("directory", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--license", "license_name", required=True, metavar="SPDX", help="License of the model, as Apache-2.0.")
@click.option(
    "--sources",
    type=click.Path(dir_okay=False, path_type=Path),
    metavar="FILE",
    help="What it was trained on, in TOML. Without it the verdict is unknown.",
)
@click.option("--name", default="", help="Its name here.  [default: that of the folder]")
@detach_option
@json_option
@pass_terminal
def add(
    terminal: Terminal, /, directory: Path, license_name: str, sources: Path | None, name: str, detach: bool
) -> None:
    """Add the base model in DIRECTORY: a configuration, a tokenizer and safetensors, as hubs hold them.

    The node checks that it can be trained on, copies its files, and keeps your statements as its provenance.
    """
    arguments = {
        "directory": str(directory.resolve()),
        "license_name": license_name,
        "sources": read_toml(sources, STATED_HINT, MAX_LIST_BYTES) if sources else None,
        "name": name,
    }
    _tell(terminal, terminal.run_job(terminal.client.call("base_add", **arguments), detach))


@base_command.command("use")
@click.argument("name")
@json_option
@pass_terminal
def use(terminal: Terminal, name: str) -> None:
    """Make NAME (or the model with this digest) the default base model of `train`."""
    base = terminal.client.call("base_use", base=name)
    if terminal.output.is_json:
        terminal.output.document(base)
    terminal.output.line(f"the default base model is {base.get('name', name)} now; adapters trained before keep theirs")


@base_command.command("install")
@click.argument("name", default=SHIPPED_BASE)
@click.option("--revision", default="", metavar="COMMIT", help="Another revision of it on the hub, in 40 digits.")
@click.option("--dry-run", is_flag=True, help="Only show what it takes, and what is known of it.")
@detach_option
@json_option
@pass_terminal
def install(terminal: Terminal, /, name: str, revision: str, dry_run: bool, detach: bool) -> None:
    """Install the base model NAME: that of this package, one of `base list`, or hf:<owner>/<name>@<commit>.

    What it takes is shown first; a model that is too large for this machine is refused before anything is downloaded.
    """
    plan = terminal.client.call("plan_base_install", base=name, revision=revision)
    if dry_run and terminal.output.is_json:
        terminal.output.document(plan)
        return
    _show_needs(terminal, plan)
    if not dry_run:
        answer = terminal.client.call("base_install", base=name, revision=revision)
        _tell(terminal, terminal.run_job(answer, detach))


def _show_needs(terminal: Terminal, plan: Row) -> None:
    """What an installation takes, on stderr as all news."""
    speed = plan.get("tokens_per_second")
    if isinstance(plan.get("memory_bytes"), int) and plan["memory_bytes"]:
        told = f"about {_gib(plan.get('memory_bytes'))} of memory to train ({_gib(plan.get('memory_here_bytes'))} here)"
        told += f", {speed} tokens/s here" if speed is not None else ""
        size = f"{plan.get('download_bytes', 0) / 1e9:.1f} GB to download, " if plan.get("download_bytes") else ""
        terminal.output.news(f"{plan.get('name')}: {size}{told}")
    terminal.output.news(f"{plan.get('verdict')}: {plan.get('reason')}")
    if plan.get("access"):
        terminal.output.news(f"first, {plan.get('access')}")


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
    row = terminal.client.call("base_show", base=str(base.get("digest"))).get("row")
    found = row if isinstance(row, dict) else {}
    terminal.output.line(f"{found.get('verdict')}: {found.get('reason')}")
    if found.get("verdict") == UNKNOWN and not found.get("accepted"):
        terminal.output.line(f'next: viz-node base accept {found.get("name")} "WHY YOU MAY USE IT"')
        return
    terminal.output.line(f"next: viz-node train NAME --content all --base {found.get('name')}")


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
