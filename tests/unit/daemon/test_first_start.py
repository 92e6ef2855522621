"""What a failed first start leaves in its home."""

from dataclasses import replace
from pathlib import Path

import pytest

from viz_node.daemon.bootstrap import copy_base
from viz_node.daemon.config import Config
from viz_node.daemon.first_files import FILES, FOLDERS, copied_files
from viz_node.daemon.run import _nothing_left_of_a_failed_start
from viz_node.daemon.secrets import KEYSTORE
from viz_node.storage.home import LAST_START


def _make(home: Path, names: tuple[Path, ...]) -> None:
    for name in names:
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text(str(name))


def _left(home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}


def _fail(home: Path, made: tuple[Path, ...], neighbour: Path | None = None) -> None:
    with pytest.raises(KeyboardInterrupt):
        _start(home, made, neighbour)


def _start(home: Path, made: tuple[Path, ...], neighbour: Path | None) -> None:
    with _nothing_left_of_a_failed_start(home) as copied:
        _make(home, made)
        for folder in FOLDERS:
            (home / folder).mkdir(exist_ok=True)
        if neighbour is not None:
            copied.extend(copied_files(replace(Config(home=home), join=neighbour)))
            copy_base(neighbour / "bases" / "one", home / "bases" / "one")
            _make(home, (Path("bases/two.partial/deep/model"),))
        raise KeyboardInterrupt


def _started(names: tuple[Path, ...]) -> tuple[Path, ...]:
    return tuple(name for name in names if name != Path(LAST_START))


@pytest.fixture
def neighbour(tmp_path: Path) -> Path:
    home = tmp_path / "neighbour"
    _make(home, (Path("bases/one/provenance.json"), Path("bases/one/deep/model"), Path("bases/two/deep/model")))
    return home


def test_failed_start__new_home__is_gone(tmp_path: Path, neighbour: Path) -> None:
    _fail(tmp_path / "a" / "home", _started(FILES), neighbour)

    assert not (tmp_path / "a").exists()
    assert (neighbour / "bases" / "one" / "deep" / "model").exists()


def test_failed_start__files_put_there_meanwhile__stay(tmp_path: Path, neighbour: Path) -> None:
    theirs = ("config.toml", "note.txt", "keys/mine.pem", "bases/three/model", "bases/one/mine", "tools/anvil")

    _fail(tmp_path / "home", (*_started(FILES), *map(Path, theirs)), neighbour)

    assert _left(tmp_path / "home") == set(theirs)


def test_failed_start__files_that_were_there_before__stay(tmp_path: Path, neighbour: Path) -> None:
    home = tmp_path / "home"
    before = ("addresses.json", "logs/node.log", "bases/one/deep/model", "note.txt")
    _make(home, tuple(map(Path, before)))

    _fail(home, _started(FILES), neighbour)

    assert _left(home) == set(before)


@pytest.mark.parametrize("known", [KEYSTORE, Path(LAST_START)])
def test_failed_start__home_of_a_node__keeps_everything(tmp_path: Path, known: Path) -> None:
    home = tmp_path / "home"
    _make(home, (known,))

    _fail(home, _started(FILES))

    assert _left(home) >= {str(name) for name in _started(FILES)}
