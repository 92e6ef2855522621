"""The room of the mends: whole, in one place, and made for the version that is installed."""

import ast
import importlib.metadata
import re
import tomllib
from pathlib import Path

import pytest

from viz_node.p2p import mends

ROOT = Path(__file__).parents[4]
ROOM = ROOT / "viz_node" / "p2p" / "mends"
OUTSIDE = sorted((ROOT / "viz_node" / "p2p").glob("*.py"))
# What the library means to be extended or given.
MEANT_FOR_IT = {"Validator"}


def test_version__installed_and_required__is_the_one_that_is_mended() -> None:
    required = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]["node"]
    assert importlib.metadata.version("libp2p") == mends.UPSTREAM
    assert f"libp2p=={mends.UPSTREAM}" in required


def test_table__each_file_of_the_room__has_its_row_and_what_shows_its_fault() -> None:
    rows = re.findall(r"^(\w[\w., ]+\.py)$", str(mends.__doc__), re.MULTILINE)
    told = [name for row in rows for name in row.split(", ")]
    assert sorted(told) == sorted(path.name for path in ROOM.glob("*.py") if path.name != "__init__.py")
    for row in rows:
        tests = Path(__file__).with_name(f"test_{row.split(', ')[0]}")
        assert "def test_upstream__" in tests.read_text(), tests


def reaches_into(program: str) -> list[str]:
    """Where a module touches the private parts of others, sets what is not its own, or overrides the library."""
    found, tree = [], ast.parse(program)
    library = {
        alias.asname or alias.name
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("libp2p")
        for alias in node.names
    } - MEANT_FOR_IT
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and not (isinstance(node.value, ast.Name) and node.value.id == "self"):
            if re.match(r"_[^_]", node.attr):
                found.append(ast.unparse(node))
            elif isinstance(node.ctx, ast.Store):
                found.append(f"{ast.unparse(node)} = …")
        elif isinstance(node, ast.ClassDef):
            found += [f"class {node.name}({base})" for base in map(ast.unparse, node.bases) if base in library]
    return found


@pytest.mark.parametrize("path", OUTSIDE, ids=lambda path: path.name)
def test_module__outside_the_room__leaves_the_library_as_it_is(path: Path) -> None:
    assert reaches_into(path.read_text()) == []


@pytest.mark.parametrize("name", ["yamux", "dht", "dialling", "gossip"])
def test_reaches_into__a_mend__is_found(name: str) -> None:
    assert reaches_into((ROOM / f"{name}.py").read_text())
