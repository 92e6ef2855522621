"""Keys leave a home and come back: the whole round trip through the command line."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from viz_node.cli.main import run
from viz_node.daemon.secrets import Sealing, unlock
from viz_node.errors import RefusedError
from viz_node.identity.signatures import verify_bytes
from viz_node.storage.home import open_home

PASSPHRASE = "correct horse battery staple"


@pytest.fixture
def secret(tmp_path: Path) -> Path:
    path = tmp_path / "secret"
    path.write_text(PASSPHRASE + "\n")
    return path


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return made(tmp_path / "home")


def made(home: Path) -> Path:
    (home / "keys").mkdir(parents=True)
    unlock(home)
    return home


def keys(home: Path, *words: str | Path) -> int:
    return run(["--home", str(home), "keys", *map(str, words), "--json"])


def test_restore__into_an_empty_home__opens_the_content_and_signs_as_before(
    home: Path, secret: Path, tmp_path: Path
) -> None:
    before = Sealing(unlock(home))
    sealed, saved = before.seal(b"a poem"), tmp_path / "saved"
    with open_home(home):
        assert keys(home, "backup", saved, "--passphrase-file", secret) == 0, "also while the node runs"
    other = tmp_path / "other"
    assert keys(other, "restore", saved, "--passphrase-file", secret) == 0
    after = Sealing(unlock(other))
    assert unlock(other) == unlock(home)
    assert after.open(sealed) == b"a poem"
    assert after.recover_account("hello", after.sign_as_account("hello")) == unlock(home).account
    verify_bytes(unlock(home).peer_id, b"hello", after.sign(b"hello"))
    assert [path.name for path in other.glob("keys*")] == ["keys"]


def test_restore__home_has_other_keys__refused_and_with_force_kept_aside(
    home: Path, secret: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    saved, other = tmp_path / "saved", made(tmp_path / "other")
    old = unlock(other)
    assert keys(home, "backup", saved, "--passphrase-file", secret) == 0
    assert keys(other, "restore", saved, "--passphrase-file", secret) == 4
    assert unlock(other) == old
    capsys.readouterr()
    assert keys(other, "restore", saved, "--passphrase-file", secret, "--force") == 0
    assert json.loads(capsys.readouterr().out)["old_keys"] == str(other / "keys.old-1")
    assert unlock(other) == unlock(home)
    (other / "keys").rename(other / "new")
    with pytest.raises(RefusedError, match="old ones"):
        unlock(other)
    (other / "keys.old-1").rename(other / "keys")
    assert unlock(other) == old


def test_restore__node_runs__locked(home: Path, secret: Path, tmp_path: Path) -> None:
    saved = tmp_path / "saved"
    assert keys(home, "backup", saved, "--passphrase-file", secret) == 0
    with open_home(home):
        assert keys(home, "restore", saved, "--passphrase-file", secret, "--force") == 9
        assert keys(home, "change-passphrase", "--passphrase-file", secret) == 9


def test_change_passphrase__own_one__opens_and_the_drawn_one_is_gone(
    home: Path, secret: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = unlock(home)
    assert keys(home, "change-passphrase", "--passphrase-file", secret) == 0
    assert not (home / "keys" / "passphrase").exists()
    monkeypatch.setenv("VIZ_NODE_PASSPHRASE_FILE", str(secret))
    assert unlock(home) == before


def test_account__exported_and_imported__moves_alone(home: Path, secret: Path, tmp_path: Path) -> None:
    wallet, other, empty = tmp_path / "wallet.json", made(tmp_path / "other"), tmp_path / "empty"
    before = unlock(other)
    assert keys(home, "export-account", wallet, "--passphrase-file", secret) == 0
    assert keys(other, "import-account", wallet, "--passphrase-file", secret) == 4
    assert keys(other, "import-account", wallet, "--passphrase-file", secret, "--force") == 0
    assert keys(empty, "import-account", wallet, "--passphrase-file", secret) == 0
    assert unlock(empty).account == unlock(other).account == unlock(home).account
    assert (unlock(other).peer_id, unlock(other).content_key) == (before.peer_id, before.content_key)


@pytest.mark.parametrize("command", ["backup", "restore", "export-account", "import-account"])
def test_keys__nobody_to_ask__usage_error_and_no_file(home: Path, tmp_path: Path, command: str) -> None:
    assert keys(home, command, tmp_path / "file") == 2
    assert not (tmp_path / "file").exists()


def test_keys__home_without_keys__says_so_and_makes_nothing(tmp_path: Path, secret: Path) -> None:
    empty = tmp_path / "empty"
    assert keys(empty, "show") == 7
    assert keys(empty, "backup", tmp_path / "file", "--passphrase-file", secret) == 7
    assert not empty.exists()


def test_shield_process__own_process__leaves_no_core_and_cannot_be_read() -> None:
    program = (
        "import ctypes, resource, subprocess\n"
        "from viz_node.daemon.secrets import shield_process\n"
        "shield_process()\n"
        "print(resource.getrlimit(resource.RLIMIT_CORE)[0], ctypes.CDLL(None).prctl(3, 0, 0, 0, 0))\n"
        "subprocess.run(['true'], check=True)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout.split() == ["0", "0"]


def test_keys_show__any__account_and_peer_and_no_secret(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    opened = unlock(home)
    assert keys(home, "show") == 0
    shown = capsys.readouterr().out
    assert json.loads(shown) == {"account": opened.account, "peer_id": opened.peer_id}
