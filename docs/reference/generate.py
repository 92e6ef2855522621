"""Write commands.md and options.md, the pages of this directory that the code knows best: `make docs`."""

import dataclasses
import re
from collections.abc import Iterator
from pathlib import Path

import click

from viz_node.cli.main import viz_node
from viz_node.daemon.config import Config
from viz_node.domain.recipe import Recipe

HERE = Path(__file__).parent
CONFIGS = HERE.parents[1] / "configs"
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
