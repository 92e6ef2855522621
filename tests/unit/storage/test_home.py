"""One process per home."""

import os
import stat
from pathlib import Path

import pytest

from viz_node.errors import LockedError, StorageError
from viz_node.storage.home import (
    LAST_START,
    flags_of_last_start,
    open_home,
    peek_pid,
    present_of,
    private_directory,
    remember_start,
    take_away,
)


def test_open_home__second_lock__refused_with_pid(tmp_path: Path) -> None:
    home = tmp_path / "deep" / "home"
    assert peek_pid(home) is None
    with open_home(home) as lock:
        assert lock.path == home
        assert stat.S_IMODE(home.stat().st_mode) == 0o700
        assert peek_pid(home) == os.getpid()
        with pytest.raises(LockedError, match=str(os.getpid())):
            open_home(home)
        assert peek_pid(home) == os.getpid()
    assert peek_pid(home) is None
    open_home(home).close()


def test_peek_pid__stale_number_without_lock__is_none(tmp_path: Path) -> None:
    (tmp_path / "lock").write_text("1\n")
    assert peek_pid(tmp_path) is None


def test_open_home__lock_is_a_link_or_home_a_file__refused(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("keep")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "lock").symlink_to(tmp_path / "victim")
    for path in (tmp_path / "home", tmp_path / "victim"):
        with pytest.raises(StorageError):
            open_home(path)
    assert (tmp_path / "victim").read_text() == "keep"


def test_private_directory__open_to_others__is_closed(tmp_path: Path) -> None:
    (tmp_path / "works").mkdir(mode=0o755)
    assert stat.S_IMODE(private_directory(tmp_path, "works").stat().st_mode) == 0o700
    (tmp_path / "file").touch()
    with pytest.raises(StorageError):
        private_directory(tmp_path, "file")


def test_flags_of_last_start__as_it_was_started__quoted_for_a_shell(tmp_path: Path) -> None:
    assert flags_of_last_start(tmp_path) == ""
    remember_start(tmp_path, True, None)
    assert flags_of_last_start(tmp_path) == " --dev"
    remember_start(tmp_path, True, Path("/a b"))
    assert flags_of_last_start(tmp_path) == " --dev --join '/a b'"
    for damaged in ("", "[]", '{"dev": 1}', "\0"):
        (tmp_path / LAST_START).write_text(damaged)
        assert flags_of_last_start(tmp_path) == ""


def test_take_away__files_of_ours_and_of_somebody_else__only_ours_go(tmp_path: Path) -> None:
    home = tmp_path / "new" / "home"
    for name in ("keys/keystore.json", "keys/theirs", "bases/one/model", "logs/node.log", "node.db"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("x")
    ours = [Path(name) for name in ("keys/keystore.json", "bases/one/model", "logs/node.log", "node.db", "not-there")]
    assert present_of(home, ours) == frozenset(ours[:-1])

    take_away(home, ours, map(Path, ("bases", "bases/one", "keys", "logs")), [home, home.parent])

    assert sorted(path.relative_to(home) for path in home.rglob("*")) == [Path("keys"), Path("keys/theirs")]
    (home / "keys/theirs").unlink()
    take_away(home, [], [Path("keys")], [home, home.parent])
    assert list(tmp_path.iterdir()) == []
