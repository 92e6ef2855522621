"""Files written whole: private from the first byte, nothing left of one that fails, never over another if it is new."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from viz_node.errors import RefusedError, StorageError, VerificationError
from viz_node.files import write_whole


def held(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def test_write_whole__over_a_readable_file__is_private_at_every_moment(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")
    (tmp_path / "a").chmod(0o644)
    modes = []

    def pieces() -> Iterator[bytes]:
        for piece in (b"new ", b"text"):
            yield piece
            modes.extend(path.stat().st_mode & 0o777 for path in tmp_path.iterdir() if path.name != "a")

    before = os.umask(0)
    try:
        write_whole(tmp_path / "a", pieces())
    finally:
        os.umask(before)
    assert held(tmp_path) == {"a": b"new text"}
    assert modes == [0o600, 0o600] and (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_write_whole__a_piece_fails__the_old_file_stays_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"old")

    def pieces() -> Iterator[bytes]:
        yield b"half"
        raise VerificationError("not genuine")

    with pytest.raises(VerificationError):
        write_whole(tmp_path / "a", pieces())
    assert held(tmp_path) == {"a": b"old"}


def test_write_whole__killed_before_its_bytes_are_on_the_disk__the_old_file_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_room(_descriptor: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "a").write_bytes(b"old")
    monkeypatch.setattr(os, "fsync", no_room)
    with pytest.raises(StorageError, match="No space left"):
        write_whole(tmp_path / "a", b"new")
    assert held(tmp_path) == {"a": b"old"}


@pytest.mark.parametrize("has_links", [True, False])
def test_write_whole__new_only__never_over_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, has_links: bool
) -> None:
    def refuse(*_paths: object) -> None:
        raise PermissionError(errno.EPERM, "no hard links here")

    if not has_links:
        monkeypatch.setattr(os, "link", refuse)
    write_whole(tmp_path / "new", b"1", is_new=True)
    with pytest.raises(RefusedError):
        write_whole(tmp_path / "new", b"2", is_new=True)
    assert held(tmp_path) == {"new": b"1"}
