"""A full disk is named as what it is, wherever it was met; nobody else's word makes it so."""

import sqlite3
from pathlib import Path

import pytest

from viz_node.cli.main import run, viz_node
from viz_node.errors import (
    DiskFullError,
    PeerUnreachableError,
    StorageError,
    TrainingError,
    VizNodeError,
    disk_full,
    error_from,
)
from viz_node.storage.database import Database

FULL = Path("/dev/full")


def write_to_a_full_disk() -> None:
    with FULL.open("wb", buffering=0) as file:
        file.write(b"x")


def meet(kind: str, tmp_path: Path) -> Exception:
    """The error as it arrives at the edge."""
    if kind == "database":
        database = Database(tmp_path / "x.db", ("CREATE TABLE t (x BLOB)",))
        database.query("PRAGMA max_page_count=4")
        with pytest.raises(StorageError) as caught:
            database.execute("INSERT INTO t VALUES (zeroblob(1000000))")
        database.close()
        return caught.value
    if kind == "worker":
        return error_from({"error": "TrainingError", "message": "OSError: [Errno 28] No space left on device"})
    with pytest.raises(OSError, match="No space left") as met:
        write_to_a_full_disk()
    if kind == "translated":
        error = StorageError("cannot write x: No space left on device", "check the disk")
        error.__cause__ = met.value
        return error
    return met.value


@pytest.mark.skipif(not FULL.exists(), reason="the system has no /dev/full")
@pytest.mark.parametrize("kind", ["raw", "translated", "database", "worker"])
def test_disk_full__met_anywhere__has_its_own_error_and_status(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    error = meet(kind, tmp_path)
    found = disk_full(error)
    assert isinstance(found, DiskFullError)
    assert found.message.startswith("the disk is full: ")

    def fail(*_arguments: object) -> None:
        raise error

    monkeypatch.setattr(viz_node, "get_command", fail)
    assert run(["doctor"]) == 11
    printed = capsys.readouterr().err
    assert printed.startswith("error: the disk is full: ")
    assert "next: free some space" in printed


@pytest.mark.parametrize(
    "error",
    [
        PeerUnreachableError("it said: No space left on device"),
        VizNodeError("No space left on device"),
        TrainingError("another"),
        sqlite3.OperationalError("no such table"),
        OSError(13, "Permission denied"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_disk_full__anything_else__stays_what_it_is(error: Exception) -> None:
    assert disk_full(error) is None
