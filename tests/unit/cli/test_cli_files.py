"""Files that a person names on the command line: a device, a pipe or a giant is refused, quickly and in one line."""

import os
import time
from pathlib import Path

import pytest

from viz_node.cli.main import run

COMMANDS = {
    "recipe": ["train", "x", "--content", "all", "--recipe"],
    "terms": ["publish", "x", "--price", "1", "--terms"],
    "notice": ["notice", "file", "ab" * 32],
    "report": ["audit", "verify"],
}


@pytest.mark.parametrize("kind", ["device", "pipe"])
@pytest.mark.parametrize("command", COMMANDS)
def test_file__device_or_pipe__usage_error_at_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str, kind: str
) -> None:
    path = Path("/dev/zero")
    if kind == "pipe":
        path = tmp_path / "pipe"
        os.mkfifo(path)
    begun = time.monotonic()
    assert run(["--home", str(tmp_path), *COMMANDS[command], str(path)]) == 2
    assert time.monotonic() - begun < 5
    printed = capsys.readouterr()
    assert printed.err.startswith(f"error: {path} is no regular file\nnext: ")
    assert printed.out == ""


@pytest.mark.parametrize("command", ["terms", "notice"])
def test_file__empty__is_refused_before_anything_goes_on_record(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    path = tmp_path / "empty.toml"
    path.write_text("\n")
    assert run(["--home", str(tmp_path), *COMMANDS[command], str(path), "--yes"]) == 2
    assert str(path) in capsys.readouterr().err
