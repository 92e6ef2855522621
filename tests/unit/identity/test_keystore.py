"""The keystore opens with its passphrase only, and only as it was written."""

import json
import stat
from pathlib import Path

import pytest

from viz_node.errors import PassphraseError, RefusedError, StorageError, UsageError, VerificationError
from viz_node.identity.keystore import NodeKeys, change_passphrase, create_keystore, open_keystore, read_names
from viz_node.identity.signatures import account_of, ed25519_public, peer_id_of


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keystore.json"


@pytest.fixture
def keys(path: Path) -> NodeKeys:
    return create_keystore(path, "right", strong=False)


def test_open_keystore__right_passphrase__gives_same_keys(path: Path, keys: NodeKeys) -> None:
    opened = open_keystore(path, "right")
    assert opened == keys
    assert opened.account == account_of(opened.account_key)
    assert opened.peer_id == peer_id_of(ed25519_public(opened.network_seed))
    assert len({opened.network_seed, opened.account_key, opened.content_key, opened.delivery_key}) == 4
    assert read_names(path) == (keys.account, keys.peer_id)


def test_create_keystore__new_file__is_private_and_leaves_nothing_else(path: Path, keys: NodeKeys) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["keystore.json"]
    assert keys.account_key.hex() not in path.read_text()
    assert keys.account_key.hex() not in repr(keys)
    assert repr(keys.account_key) not in repr(keys)


def test_create_keystore__file_exists__refused_and_untouched(path: Path, keys: NodeKeys) -> None:
    before = path.read_bytes()
    with pytest.raises(RefusedError):
        create_keystore(path, "other", strong=False)
    assert path.read_bytes() == before


def test_create_keystore__given_account_key__is_kept(path: Path) -> None:
    keys = create_keystore(path, "right", strong=False, account_key=(1).to_bytes(32, "big"))
    assert keys.account == "0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"


def test_create_keystore__empty_passphrase__refused(path: Path) -> None:
    with pytest.raises(UsageError):
        create_keystore(path, "", strong=False)
    assert not path.exists()


def test_open_keystore__wrong_passphrase__refused(path: Path, keys: NodeKeys) -> None:
    with pytest.raises(PassphraseError):
        open_keystore(path, "wrong")


@pytest.mark.parametrize("name", ["account", "peer_id", "salt", "nonce", "sealed"])
def test_open_keystore__field_changed__refused(path: Path, keys: NodeKeys, tmp_path: Path, name: str) -> None:
    body = json.loads(path.read_bytes())
    other = create_keystore(tmp_path / "other.json", "right", strong=False)
    assert other != keys
    body[name] = json.loads((tmp_path / "other.json").read_bytes())[name]
    path.write_text(json.dumps(body))
    with pytest.raises(PassphraseError):
        open_keystore(path, "right")


@pytest.mark.parametrize(
    "change",
    [{"cost": 2**30}, {"cost": 2}, {"cost": True}, {"extra": 1}, {"format": "x"}, {"salt": "AA=="}, {"account": "0x"}],
)
def test_open_keystore__foreign_shape__refused(path: Path, keys: NodeKeys, change: dict[str, object]) -> None:
    path.write_text(json.dumps({**json.loads(path.read_bytes()), **change}))
    with pytest.raises(VerificationError):
        open_keystore(path, "right")


@pytest.mark.parametrize("raw", [b"", b"[]", b"{", b"[" * 50_000, b"\xff\xfe", b"{}" * 20_000])
def test_open_keystore__not_json__refused(path: Path, raw: bytes) -> None:
    path.write_bytes(raw)
    with pytest.raises(VerificationError):
        open_keystore(path, "right")


def test_open_keystore__no_file__is_storage_error(path: Path) -> None:
    with pytest.raises(StorageError):
        open_keystore(path, "right")


def test_change_passphrase__right_old__only_new_opens(path: Path, keys: NodeKeys) -> None:
    change_passphrase(path, "right", "new", strong=False)
    assert open_keystore(path, "new") == keys
    with pytest.raises(PassphraseError):
        open_keystore(path, "right")
