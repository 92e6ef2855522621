"""Rules of the tree that no linter keeps."""

import ast
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted((ROOT / "viz_node").rglob("*.py"))


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_module__any__short_and_introduced(path: Path) -> None:
    text = path.read_text()

    assert len(text.splitlines()) <= 500
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
