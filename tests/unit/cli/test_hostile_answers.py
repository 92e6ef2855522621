"""Every command, with a node, files and a home whose every text attacks the terminal: nothing of it is obeyed.

A command that the program gets later is run here without being named; an operation that it asks of the node needs a
hostile answer in `tests/fakes/hostile_node.py`.
"""

import io
import json
from pathlib import Path
from typing import Any

import click
import pytest

from tests.fakes.hostile_node import EVIL, MARK, VERDICT, HostileTransport
from tests.unit.cli.test_cli_main import all_commands
from viz_node.cli import printer
from viz_node.cli.client import NodeClient
from viz_node.cli.main import run, viz_node

NAME = EVIL.replace("/", "|").replace("\x00", "").replace("\ud800", "\udc9b")
VALUES = {"amount": "5.00", "days": "3", "deposit": "5.00", "experiment": "fraud", "fee": "5.00", "max_price": "5.00",
          "price": "5.00", "repeats": "2", "timeout": "0"}  # fmt: skip
DRIVES_NODES = {("demo",)}
SAYS_NOTHING_FOREIGN = {("wait",), ("audit",), ("market", "check"), ("config", "example")}
WRITES_TEXTS = {("generate",), ("logs",)}
ALWAYS_THE_SAME = {("simulate",)}
BOLD = ("\x1b[1m", "\x1b[0m")


def leaves() -> list[tuple[str, ...]]:
    commands = all_commands(viz_node)
    return [path for path in commands if not any(other[:-1] == path for other in commands) and path not in DRIVES_NODES]


def command_at(path: tuple[str, ...]) -> click.Command:
    command: click.Command = viz_node
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    return command


def arguments_for(command: click.Command, directory: Path, with_optional: bool) -> list[str]:
    """What the command cannot do without, and a yes; every free text and every file's name is an attack."""
    words: list[str] = []
    for parameter in command.params:
        is_asked = parameter.required or parameter.name in {"timeout", "repeats", "passphrase_file", "periods", "out"}
        if parameter.name in {"yes"}:
            words.append("--yes")
        elif is_asked or (with_optional and isinstance(parameter, click.Argument)):
            value = _value(parameter, directory)
            words += [value] if isinstance(parameter, click.Argument) else [parameter.opts[0], value]
    return words


def _value(parameter: click.Parameter, directory: Path) -> str:
    kind = parameter.type
    if parameter.name in VALUES:
        return VALUES[parameter.name]
    if isinstance(kind, click.Path):
        place = directory / (NAME + ("" if kind.file_okay else "-out"))
        if kind.file_okay:
            place.write_text(EVIL, errors="surrogatepass")
        return str(place)
    if isinstance(kind, click.IntRange):
        return str(kind.min or 1)
    return str(kind.choices[0]) if isinstance(kind, click.Choice) else EVIL


@pytest.fixture
def home(tmp_path: Path) -> Path:
    place = tmp_path / NAME
    place.mkdir()
    (place / "config.toml").write_text(f'"{MARK}\\u001b\\u202e" = 1\n')
    (place / "logs").mkdir()
    (place / "logs" / "node.log").write_text(EVIL, errors="surrogatepass")
    return place


def check(path: tuple[str, ...], shown: str) -> None:
    for sequence in BOLD:
        shown = shown.replace(sequence, "")
    bad = {char for char in shown if not char.isprintable() and char != "\n"}
    assert not bad, (path, bad)
    assert path in WRITES_TEXTS or not any(line.startswith(VERDICT) for line in shown.splitlines()), path
    assert "unforeseen" not in shown, (path, shown)


def outcome(
    path: tuple[str, ...], home: Path, kind: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    *options: str,
) -> tuple[str, str]:  # fmt: skip
    transport = HostileTransport(kind)
    monkeypatch.setattr(NodeClient, "_request", lambda _self, *asked: transport(*asked))
    monkeypatch.setattr("sys.stdin", io.StringIO(""))
    files = home.parent / "files"
    files.mkdir(exist_ok=True)
    run(["--home", str(home), *path, *arguments_for(command_at(path), files, kind != "failed job"), *options])
    printed = capsys.readouterr()
    for shown in printed:
        check(path, shown)
        assert len(shown) < 100_000
    return printed.out, printed.err


@pytest.mark.parametrize("kind", ["answer", "failed job", "error"])
@pytest.mark.parametrize("path", leaves(), ids=" ".join)
def test_command__everything_foreign_attacks__is_shown_as_plain_text(
    path: tuple[str, ...], kind: str, home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if path in ALWAYS_THE_SAME and kind != "answer":
        pytest.skip("asks no node")
    out, err = outcome(path, home, kind, monkeypatch, capsys)
    assert MARK in "".join((out + err).split()) or path in SAYS_NOTHING_FOREIGN


@pytest.mark.parametrize("path", leaves(), ids=" ".join)
def test_command__terminal__only_its_own_boldness(
    path: tuple[str, ...], home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(printer, "is_terminal", lambda: True)
    monkeypatch.setattr(printer, "can_draw", lambda: True)
    outcome(path, home, "answer", monkeypatch, capsys)
    outcome(path, home, "error", monkeypatch, capsys)


@pytest.mark.parametrize("path", leaves(), ids=" ".join)
def test_command__json__one_plain_document_each(
    path: tuple[str, ...], home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    if "--json" not in {option for parameter in command_at(path).params for option in parameter.opts}:
        pytest.skip("prints no data")
    for kind in ("answer", "error"):
        for shown in outcome(path, home, kind, monkeypatch, capsys, "--json"):
            document: Any = json.loads(shown) if shown else None
            assert document is None or isinstance(document, dict | list)
