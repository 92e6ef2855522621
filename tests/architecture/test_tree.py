"""Rules of the tree that no linter keeps."""

import ast
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "viz_node").rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module__any__short_and_introduced(path: Path) -> None:
    text = path.read_text()

    assert len(text.splitlines()) <= 400
    assert ast.get_docstring(ast.parse(text))


def test_environment__whole_package__read_in_one_place() -> None:
    readers = [str(path.relative_to(ROOT)) for path in MODULES if "os.environ" in path.read_text()]

    assert set(readers) <= {"viz_node/daemon/config.py", "viz_node/daemon/federation_worker.py"}


def test_committed_files__secrets_and_workplaces__absent() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.split()
    forbidden = ["/" + "work/main", "." + "library/", "pypi" + ".", "registry" + ".npm"]
    texts = {name: (ROOT / name).read_bytes() for name in listed if (ROOT / name).is_file()}

    found = [(name, word) for name, text in texts.items() for word in forbidden if word.encode() in text]

    assert not found


PRINTER = "viz_node/cli/printer.py"
# Their streams lead to the node that started them, not to a terminal.
WORKERS = {"viz_node/workers/serve.py", "viz_node/daemon/federation_worker.py"}
WAYS_TO_A_TERMINAL = {
    "click.clear", "click.confirm", "click.echo", "click.echo_via_pager", "click.edit", "click.getchar", "click.launch",
    "click.pause", "click.progressbar", "click.prompt", "click.secho", "click.style", "getpass.getpass", "input",
    "print", "sys.stderr", "sys.stdin", "sys.stdout", "sys.__stderr__", "sys.__stdout__",
}  # fmt: skip
LIBRARIES_OF_TERMINALS = {"curses", "rich", "termios", "tty"}


def ways_to_a_terminal(program: str) -> set[str]:
    """What a module names or imports that can reach the terminal."""
    found = set()
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name):
            found.add(f"{node.value.id}.{node.attr}")
        elif isinstance(node, ast.Name):
            found.add(node.id)
        elif isinstance(node, ast.Import):
            found |= {item.name.partition(".")[0] for item in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module.partition(".")[0], *(f"{node.module}.{item.name}" for item in node.names)}
    return found & (WAYS_TO_A_TERMINAL | LIBRARIES_OF_TERMINALS)


def test_terminal__whole_package__written_and_read_in_one_place() -> None:
    others = [path for path in MODULES if str(path.relative_to(ROOT)) not in {PRINTER, *WORKERS}]
    found = {str(path.relative_to(ROOT)): ways for path in others if (ways := ways_to_a_terminal(path.read_text()))}

    assert not found


@pytest.mark.parametrize(
    "program",
    ["print(1)", "import click\nclick.echo(1)", "from click import echo", "import sys as s\nfrom sys import stdout",
     "import rich.console", "from rich.text import Text", "import sys\nsys.stderr.write('')"],
)  # fmt: skip
def test_ways_to_a_terminal__each__is_found(program: str) -> None:
    assert ways_to_a_terminal(program)


def libraries(program: str) -> set[str]:
    """The libraries that a module imports, wherever in it."""
    found = set()
    for node in ast.walk(ast.parse(program)):
        if isinstance(node, ast.Import):
            found |= {item.name.partition(".")[0] for item in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.partition(".")[0])
    return found - sys.stdlib_module_names - {"viz_node"}


def test_libraries__each__has_a_contract_and_no_contract_is_idle() -> None:
    imported = set().union(*(libraries(path.read_text()) for path in MODULES))
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    protected = [name for one in contracts if one["type"] == "protected" for name in one["protected_modules"]]

    assert sorted(set(protected) - sys.stdlib_module_names) == sorted(imported)
    assert len(protected) == len(set(protected))


def test_libraries__each__is_declared_and_comes_not_only_along_with_another() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    asked = [
        *project["dependencies"],
        *(line for name in ("audit", "node", "train", "economics") for line in extras[name]),
    ]
    declared = {canonicalize_name(Requirement(line).name) for line in asked}
    imported = set().union(*(libraries(path.read_text()) for path in MODULES))
    made_by = packages_distributions()

    assert [name for name in sorted(imported) if not declared & set(map(canonicalize_name, made_by[name]))] == []


def test_libraries__page_of_the_architecture__names_each_of_them() -> None:
    page = (ROOT / "docs" / "explanation" / "architecture.md").read_text()
    imported = set().union(*(libraries(path.read_text()) for path in MODULES))

    assert [name for name in sorted(imported) if f"`{name}`" not in page] == []


@pytest.mark.parametrize("program", ["import torch.nn", "def f():\n    from torch import nn", "import os, torch as t"])
def test_libraries__each_way_to_import__is_found(program: str) -> None:
    assert libraries(program) == {"torch"}
