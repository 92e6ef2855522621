"""Every command that a message advises exists, and has the arguments and options that it cannot do without."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from viz_node.cli.main import viz_node
from viz_node.cli.sections import NAMES

SOURCES = sorted(Path(__file__).parents[2].joinpath("viz_node").rglob("*.py"))
COMMAND = re.compile(rf"viz-node ((?:{'|'.join(NAMES)})\b[^`;:\n…]*)")
WORDS = "or|and|then|to|says?|shows?|fetches|has|tells?|prints?|lists?|again|puts|for|once|after|on|when"
END = re.compile(rf",? (?:{WORDS})\b|, |\.$|\. |\)|  |$")
QUOTED = re.compile(r'"[^"]*"')
VALUE = "1"


def texts(path: Path) -> Iterator[tuple[int, str]]:
    """Literal texts, f-strings with a value in each gap; docstrings are for programmers."""
    tree = ast.parse(path.read_text())
    docs = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    inner = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in node.values}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(part.value if isinstance(part, ast.Constant) else VALUE for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and not {id(node)} & (docs | inner):
            yield node.lineno, node.value


ADVICE = [
    pytest.param(found[1], id=f"{path.name}:{line}")
    for path in SOURCES
    for line, text in texts(path)
    for found in COMMAND.finditer(QUOTED.sub("TEXT", text))
]


def missing(words: list[str]) -> str:
    """What the command line lacks."""
    command: click.Command = viz_node
    context = click.Context(viz_node, info_name="viz-node", **viz_node.context_settings)
    if words[0] == "license" and words[1] not in ("buy", "list", "renew"):
        words.insert(1, "buy")  # as its group does
    while isinstance(command, click.Group) and words and not words[0].startswith("-"):
        name, found, words = command.resolve_command(context, words)
        assert found is not None
        command, context = found, click.Context(found, info_name=name, parent=context)
    if isinstance(command, click.Group):
        return ""
    try:
        command.make_context("x", list(words), parent=context, resilient_parsing=False)
    except click.BadParameter as error:  # a value that stands for one is not judged
        return error.format_message() if isinstance(error, click.MissingParameter) else ""
    except click.UsageError as error:
        return error.format_message()
    return ""


@pytest.mark.parametrize("advice", ADVICE)
def test_advice__every_command_in_a_message__is_whole(advice: str) -> None:
    command = END.split(advice, maxsplit=1)[0]
    assert missing(command.split()) == "", command
