"""The root of the command line: what it imports, and what an error becomes."""

import ast
import importlib
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from viz_node import errors
from viz_node.cli import main as cli_main
from viz_node.cli.main import run, viz_node
from viz_node.cli.terminal import Terminal, pass_terminal
from viz_node.errors import EXIT_STATUS, HTTP_STATUS, VizNodeError, status_for

HEAVY = (
    "torch",
    "web3",
    "libp2p",
    "trio",
    "flwr",
    "aiohttp",
    "rich",
    "transformers",
    "cryptography",
    "httpx",
    "urllib3",
    "asyncio",
)
ALL_ERRORS = [item for item in vars(errors).values() if isinstance(item, type) and issubclass(item, VizNodeError)]


def all_commands(group: click.Group, path: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """The paths of every command below `group`."""
    found = []
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        found.append((*path, name))
        if isinstance(command, click.Group):
            found += all_commands(command, (*path, name))
    return found


def test_help__fresh_process__imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom viz_node.cli.main import run\nassert run(['--help']) == 0\n"
        f"print(sorted(set(sys.modules) & set({HEAVY!r})), file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stderr.strip() == "[]"
    assert "Sell what a model learns" in done.stdout


def test_output__whose_reader_is_gone__ends_with_a_status_of_its_own() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    program = "import sys; from viz_node.cli.main import main; main()"
    command = [sys.executable, "-c", program, "config", "example"]
    done = subprocess.run(command, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=30, check=False)
    os.close(writer)
    assert (done.returncode, done.stderr) == (141, "")


def test_library__of_a_part_that_is_not_installed__is_told_in_one_line(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    @click.command()
    def needs_more() -> None:
        importlib.import_module("no_such_library.part")

    monkeypatch.setattr(cli_main.LazyGroup, "get_command", lambda *_: needs_more)
    assert run(["start"]) == 2
    cause, fix = capsys.readouterr().err.splitlines()
    assert cause == "error: no_such_library is not installed: this installation is not the whole program"
    assert "pip install -c constraints.txt" in fix


def test_every_command__help__is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    commands = all_commands(viz_node)
    assert len(commands) >= 38
    for path in commands:
        assert run([*path, "--help"]) == 0, path
        assert "Usage:" in capsys.readouterr().out


def test_commands__listed_help__is_not_empty(capsys: pytest.CaptureFixture[str]) -> None:
    run(["--help"])
    shown = capsys.readouterr().out
    assert all(f"  {path[0]} " in shown for path in all_commands(viz_node))


@pytest.mark.parametrize("table", [EXIT_STATUS, HTTP_STATUS], ids=["exit", "http"])
def test_error_tables__every_class__has_a_status_of_its_own_or_of_its_family(
    table: dict[type[VizNodeError], int],
) -> None:
    for cls in ALL_ERRORS:
        nearest = next(parent for parent in cls.__mro__ if parent in table)
        assert cls is VizNodeError or nearest is not VizNodeError, f"{cls.__name__} is only a VizNodeError in the table"


def test_exit_statuses__reference_page__lists_exactly_these() -> None:
    page = Path(__file__).parents[3] / "docs" / "reference" / "exit-codes.md"
    lines = [line.split("|") for line in page.read_text().splitlines() if line.startswith("| `")]
    listed = {cell[1].strip().strip("`"): int(cell[2]) for cell in lines}
    assert listed == {cls.__name__: status_for(cls(""), EXIT_STATUS) for cls in ALL_ERRORS}


@pytest.mark.parametrize("cls", ALL_ERRORS, ids=lambda cls: cls.__name__)
def test_run__command_raises__prints_cause_and_next_and_exits_with_its_status(
    cls: type[VizNodeError], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command("broken")
    def broken() -> None:
        raise cls("the cause", "the next step")

    monkeypatch.setattr(viz_node, "get_command", lambda _context, _name: broken)
    assert run(["broken"]) == status_for(cls(""), EXIT_STATUS)
    printed = capsys.readouterr()
    assert printed.err == "error: the cause\nnext: the next step\n"
    assert printed.out == ""


def test_run__json_and_error__one_document_on_stderr(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(["--home", str(tmp_path), "status", "--json"]) == 3
    printed = capsys.readouterr()
    assert json.loads(printed.err)["error"] == "NodeNotRunningError"
    assert json.loads(printed.err)["hint"].endswith("start")
    assert printed.out == ""


def test_run__unforeseen_exception__one_line_and_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    @click.command("broken")
    def broken() -> None:
        raise ZeroDivisionError("by nought")

    monkeypatch.setattr(viz_node, "get_command", lambda _context, _name: broken)
    assert run(["broken"]) == 1
    assert capsys.readouterr().err.startswith("error: unforeseen: ZeroDivisionError: by nought\n")


ADVISING = {"line", "news", "rows", "_row"}
PRINTS_NO_DATA = {("logs",), ("start",), ("demo",)}


def test_every_command__that_prints_data__has_json() -> None:
    groups = {
        ("config",),
        ("keys",),
        ("content",),
        ("base",),
        ("jobs",),
        ("federation",),
        ("adapters",),
        ("license",),
        ("pricing",),
        ("notice",),
        ("channel",),
        ("pool",),
        ("market",),
        ("recipe",),
    }
    for path in set(all_commands(viz_node)) - groups - PRINTS_NO_DATA:
        assert "--json" in options_of(path), path


def test_every_hint__names_a_command__that_exists() -> None:
    known = {path: options_of(path) for path in all_commands(viz_node)}
    groups = {path[0] for path in known if len(path) == 2}
    for module, text in messages_of(Path(cli_main.__file__).parents[1]):
        for name, word in re.findall(r"viz-node (?:--home X )?([a-z]+)(?: ([a-z]+)\b)?", text):
            assert (name,) in known, (module, text)
            assert name not in groups or not word or (name, word) in known, (module, text)


def options_of(path: tuple[str, ...]) -> set[str]:
    command: click.Command = viz_node
    for name in path:
        assert isinstance(command, click.Group)
        found = command.get_command(click.Context(command), name)
        assert found is not None
        command = found
    return {option for parameter in command.params for option in parameter.opts}


def messages_of(package: Path) -> Iterator[tuple[str, str]]:
    """Every text that is given to an error or printed as advice, with X for each value in it."""
    for module in package.rglob("*.py"):
        for call in ast.walk(ast.parse(module.read_text())):
            function = getattr(getattr(call, "func", None), "attr", getattr(getattr(call, "func", None), "id", ""))
            if isinstance(call, ast.Call) and (function.endswith("Error") or function in ADVISING):
                for value in call.args:
                    yield module.name, shown(value)


def shown(value: ast.expr) -> str:
    if isinstance(value, ast.JoinedStr):
        return "".join(shown(item) for item in value.values)
    if isinstance(value, ast.Constant):
        return str(value.value)
    return "X"


def test_run__failure_status_set__overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command("broken")
    @pass_terminal
    def broken(terminal: Terminal) -> None:
        terminal.failure_status.append(2)
        raise errors.ChainUnavailableError("down")

    monkeypatch.setattr(viz_node, "get_command", lambda _context, _name: broken)
    assert run(["broken"]) == 2


def test_run__interrupted__status_130(monkeypatch: pytest.MonkeyPatch) -> None:
    @click.command("broken")
    def broken() -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(viz_node, "get_command", lambda _context, _name: broken)
    assert run(["broken"]) == cli_main.INTERRUPTED_STATUS


@pytest.mark.parametrize(
    "arguments",
    [
        ["nonsense"],
        ["train"],
        ["publish", "a", "--price", "five"],
        ["publish", "a", "--price", "0"],
        ["publish", "a", "--price", "5", "--days", "3"],
        ["publish", "a", "--price", "5", "--split", "0x" + "1" * 40 + "=99"],
        ["license", "a", "--max-price", "-1"],
        ["content", "add", "/no/such/file", "--rights", "owned", "--author", "A"],
        ["content", "add", ".", "--rights", "stolen", "--author", "A"],
        ["train", "a", "--content", ",", "--recipe", "/no/such/recipe.toml"],
    ],
    ids=" ".join,
)
def test_run__bad_argument__status_2_and_a_cause(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(arguments) == 2
    assert capsys.readouterr().err.startswith("error: ")


def test_home__environment__is_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("VIZ_NODE_HOME", str(tmp_path / "other"))
    assert run(["id"]) == 3
    assert str(tmp_path / "other") in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [
        (["serch"], "search"),
        (["jobs", "lsit"], "list"),
        (["train", "n", "--bse", "x"], "--base"),
        (["pool", "creat"], "create"),
    ],
    ids=" ".join,
)
def test_run__mistyped_command__suggests_the_one_that_was_meant(
    arguments: list[str], meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(arguments) == 2
    shown = capsys.readouterr().err
    assert "Did you mean" in shown and f"'{meant}'" in shown


def test_run__name_of_a_pool__asks_for_its_number(capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("readers", "0", "1.5"):
        assert run(["pool", "show", name]) == 2
        assert "is not a pool's number; names are not unique: viz-node pool list" in capsys.readouterr().err


@pytest.mark.parametrize("words", [[], ["content"], ["market"], ["--home", "x"]])
def test_run__command_is_missing__help_with_its_lines(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run(words) == 2
    told = capsys.readouterr().err
    assert told.startswith("Usage: viz-node") or "Missing command" in told
    assert "error: Usage" not in told
    assert len(told.splitlines()) > 5 or "Missing command" in told
