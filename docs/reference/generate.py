"""Write the pages of this directory that the code knows best: `make docs`."""

import dataclasses
import json
import re
from collections.abc import Iterator
from pathlib import Path

import click

from viz_node.cli.main import viz_node
from viz_node.daemon.config import Config
from viz_node.domain.base_card import CatalogueBase
from viz_node.domain.base_catalogue import CATALOGUE
from viz_node.domain.recipe import Recipe
from viz_node.domain.pretraining_curve import draw_pretraining
from viz_node.models.bases import PROVENANCE_NAME
from viz_node.models.packed import SHIPPED

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs"
BASE_WORDS = """It comes with viz-node, packed in eight bits, and the first start unpacks it. It is small: its sentences are
English, and make no lasting sense. Its use is to learn an owner's manner from a small amount of text, on a laptop, with
nobody else's rights in it. Its sources, each with the SHA-256 of the text and why it may be used, are listed in
[`viz-base-english-1.toml`](../../configs/bases/viz-base-english-1.toml) and by `viz-node base show viz-base-english-1`.
`viz-node base train viz-base-english-1.toml --texts DIR --steps 6000` trains it again ([training a base](pretraining.md)).
What adapters gain on it is in the [benchmarks](benchmarks.md).
"""
CATALOGUE_WORDS = """What is known of the base models that `viz-node base install NAME` knows by name, and who says so. The statements are our summary of
the sources that they name, of November 2026; read these before you rely on them. [How to choose one](../how-to/base-models.md) explains the verdicts.
"""
NOTE = "Written by `make docs` from the code; a test fails when it is stale.\n"


def commands_page() -> str:
    """Every command with its arguments and options, as `--help` has them."""
    parts = ["# Commands\n", NOTE, "Exit statuses: [exit-codes.md](exit-codes.md). "]
    parts.append("Put `viz-node [--home DIR]` before every command. The default is VIZ_NODE_HOME or `~/.viz-node`.\n")
    context = click.Context(viz_node, info_name="viz-node", terminal_width=100, help_option_names=["-h", "--help"])
    parts += [_section(context, command) for command in _commands(context, viz_node)]
    return "\n".join(parts)


def options_page() -> str:
    """Every option of `config.toml` and of a training recipe, with what the shipped examples say about it."""
    node = _comments((CONFIGS / "node.example.toml").read_text())
    parts = ["# Options\n", NOTE, "## Node: `HOME/config.toml`\n", "Example: `configs/node.example.toml`.\n"]
    parts.append("| option | default | meaning |\n| --- | --- | --- |")
    for field in dataclasses.fields(Config):
        if field.name in node:
            parts.append(f"| `{field.name}` | `{_plain(field.default)}` | {node[field.name]} |")
    parts.append("\n## Recipe: `viz-node train --recipe FILE`\n")
    parts.append("Example: `configs/training/small.toml`; put the values under `[recipe]`.\n")
    parts.append("| value | default | meaning |\n| --- | --- | --- |")
    text = (CONFIGS / "training" / "small.toml").read_text()
    said = dict(re.findall(r"^(\w+) = .*?# (.*)$", text, re.MULTILINE))
    parts += [f"| `{f.name}` | `{f.default}` | {said[f.name]} |" for f in dataclasses.fields(Recipe)]
    return "\n".join(parts) + "\n"


def base_model_page() -> str:
    """What the base model of the package was trained on, how it learned, and what it writes: from its provenance."""
    base = json.loads((SHIPPED / PROVENANCE_NAME).read_bytes())
    sources = [source for source in base["sources"] if not source.get("held_out")]
    held_out = [source["title"] for source in base["sources"] if source.get("held_out")]
    facts = {
        "license of the base": base["license"],
        "digest": f"`{base['digest']}`",
        "weights": f"{base['parameters']:,}",
        "trained on": f"{len(sources)} books, {base['characters']:,} characters",
        "seen": f"{base['tokens']:,} tokens, {base['passes']} passes",
        "time": f"{base['seconds'] / 60:.0f} minutes on one busy core",
        "computed": ", ".join(f"{name} {value}" for name, value in base["software"].items()),
        "recipe": ", ".join(f"{name} {value}" for name, value in base["recipe"].items()),
        "held-out books": f"{', '.join(held_out)}: {base['held_out_bits_per_character']} bits per character",
    }
    points = base["held_out_curve"][:: max(1, len(base["held_out_curve"]) // 10)]
    parts = [f"# The base model `{base['name']}`\n", NOTE, BASE_WORDS]
    parts += ["| | |\n| --- | --- |\n" + "\n".join(f"| {name} | {value} |" for name, value in facts.items()) + "\n"]
    parts += ["## How it learned\n\nBits per character of the held-out books; fewer are better.\n"]
    parts += ["| step | " + " | ".join(str(step) for step, _ in points) + " |", "| --- |" + " --- |" * len(points)]
    parts += ["| bits | " + " | ".join(f"{float(bits):.2f}" for _, bits in points) + " |\n"]
    parts += ["![The loss while training, and the bits per character of held-out books](base-model.svg)\n"]
    parts += ["## Ten samples\n\nNot chosen: the first text for each of ten beginnings, at temperature 0.7.\n"]
    parts += [_quoted(sample["prompt"], sample["text"]) for sample in base["samples"]]
    parts += [
        "## What it was trained on\n\nAll in the public domain in the United States and in countries with life + 70 years.\n"
    ]
    parts += ["| title | authors | edition |\n| --- | --- | --- |"]
    parts += [
        f"| {one['title']} | {', '.join(one['authors'])} | `{_short(one['revision'])}` |" for one in base["sources"]
    ]
    return "\n".join(parts) + "\n"


def base_model_picture() -> str:
    """How the base model of the package learned."""
    return draw_pretraining(json.loads((SHIPPED / PROVENANCE_NAME).read_bytes()))


def base_catalogue_page() -> str:
    """Every base model of the catalogue: its revision, its sizes, and what is said of it by whom."""
    parts = ["# The catalogue of base models\n", NOTE, CATALOGUE_WORDS]
    parts.append("| name | weights | license | verdict | here |\n| --- | --- | --- | --- | --- |")
    parts += [
        f"| [`{one.name}`](#{one.name.replace('.', '')}) | {one.parameters:,} | {one.license} | {one.verdict} | {_place(one)} |"
        for one in CATALOGUE
    ]
    return "\n".join([*parts, *map(_entry, CATALOGUE)]) + "\n"


def _place(entry: CatalogueBase) -> str:
    if entry.unusable:
        return "cannot be installed"
    if not entry.repository:
        return "comes along"
    return "pinned" if entry.commit else "give `--revision`"


def _entry(entry: CatalogueBase) -> str:
    revision = f"`{entry.commit}` ({entry.commit_source})" if entry.commit else "not looked up"
    facts = {
        "publisher": entry.publisher,
        "repository": f"`{entry.repository}`, revision {revision}" if entry.repository else "",
        "languages": entry.languages,
        "reads at once": f"{entry.context_tokens:,} tokens",
        "verdict": f"{entry.verdict}: {entry.reason}",
        "first": entry.access,
        "cannot be installed": entry.unusable,
    }
    rows = [f"- {name}: {value}" for name, value in facts.items() if value]
    rows += [f"- {one.about}: {one.text} *({one.source})*" for one in entry.statements]
    return f"\n## {entry.name}\n\n" + "\n".join(rows)


def _quoted(prompt: str, text: str) -> str:
    lines = f"**{prompt.strip()}**{text}".rstrip().split("\n")
    return "\n".join(f"> {line}".rstrip() for line in lines) + "\n"


def _short(revision: str) -> str:
    name, _, commit = revision.partition("@")
    return f"{name}@{commit[:12]}"


def _commands(context: click.Context, group: click.Group) -> Iterator[click.Command]:
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        yield command


def _section(parent: click.Context, command: click.Command, level: int = 2) -> str:
    context = click.Context(command, info_name=command.name, parent=parent, terminal_width=100)
    text = f"{'#' * level} `{context.command_path}`\n\n```\n{command.get_help(context)}\n```\n"
    if isinstance(command, click.Group):
        text += "\n" + "\n".join(_section(context, child, level + 1) for child in _commands(context, command))
    return text


def _comments(text: str) -> dict[str, str]:
    """The paragraph above each `# option = default`."""
    found = re.findall(r"((?:^# .*\n)+)# (\w+) = ", "\n" + text, re.MULTILINE)
    return {name: " ".join(line.removeprefix("# ") for line in said.strip().split("\n")) for said, name in found}


def _plain(value: object) -> str:
    return {"": '""', (): "[]"}.get(value, str(value))  # type: ignore[call-overload, no-any-return]


if __name__ == "__main__":
    (HERE / "commands.md").write_text(commands_page())
    (HERE / "options.md").write_text(options_page())
    (HERE / "base-model.md").write_text(base_model_page())
    (HERE / "base-catalogue.md").write_text(base_catalogue_page())
    (HERE / "base-model.svg").write_text(base_model_picture())
