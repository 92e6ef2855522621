"""Files of a folder in a fixed order; links, pipes and hidden files do no harm."""

import os
from pathlib import Path

import pytest

from viz_node.content.files import list_files, read_regular_file
from viz_node.errors import VerificationError


def test_list_files__folder__sorted_without_hidden_and_outside(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret" / "s.txt").write_text("s")
    root = tmp_path / "root"
    (root / "sub").mkdir(parents=True)
    (root / ".git").mkdir()
    for name in ("b.txt", "a.txt", "sub/c.md", ".hidden.txt", ".git/x.txt"):
        (root / name).write_text(name)
    (root / "inside.txt").symlink_to(root / "a.txt")
    (root / "leak.txt").symlink_to(tmp_path / "secret" / "s.txt")
    (root / "leak").symlink_to(tmp_path / "secret")
    (root / "loop").symlink_to(root)
    (root / "dead.txt").symlink_to(root / "none")
    found = [(path.name, bool(problem)) for path, problem in list_files([root, root / "a.txt"])]
    assert found == [
        ("leak", True),
        ("a.txt", False),
        ("b.txt", False),
        ("dead.txt", True),
        ("leak.txt", True),
        ("c.md", False),
    ]


def test_list_files__missing__named(tmp_path: Path) -> None:
    assert list(list_files([tmp_path / "x"])) == [(tmp_path / "x", "there is no such file")]


def test_read_regular_file__pipe_folder_or_too_large__refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.txt")
    (tmp_path / "large.txt").write_bytes(b"x" * 11)
    for name in ("pipe.txt", "large.txt", "none.txt", "."):
        with pytest.raises(VerificationError):
            read_regular_file(tmp_path / name, 10)
    assert read_regular_file(tmp_path / "large.txt", 11) == b"x" * 11
