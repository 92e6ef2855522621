"""A backup opens with its passphrase only, and a damaged copy is told from a wrong passphrase."""

import json
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from viz_node.errors import PassphraseError, RefusedError, StorageError, UsageError, VerificationError
from viz_node.identity.backup import open_backup, require_strong, write_backup
from viz_node.identity.keystore import NodeKeys, new_keys, seal_keys
from viz_node.identity.wallet_file import read_wallet_file, write_wallet_file

PASSPHRASE = "correct horse battery staple"


@pytest.fixture(scope="module")
def keys() -> NodeKeys:
    return new_keys()


@pytest.fixture(scope="module")
def written(keys: NodeKeys, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("backup") / "node.backup"
    write_backup(path, keys, PASSPHRASE)
    return path


def test_open_backup__right_passphrase__same_keys_and_a_private_file(keys: NodeKeys, written: Path) -> None:
    assert open_backup(written, PASSPHRASE) == keys
    assert stat.S_IMODE(written.stat().st_mode) == 0o600
    assert keys.account_key.hex() not in written.read_text()


def test_open_backup__wrong_passphrase__refused(written: Path) -> None:
    with pytest.raises(PassphraseError):
        open_backup(written, PASSPHRASE + " ")


def flipped(body: dict[str, Any]) -> None:
    first = "A" if body["keys"]["sealed"][0] != "A" else "B"
    body["keys"]["sealed"] = first + body["keys"]["sealed"][1:]


@pytest.mark.parametrize(
    "damage",
    [
        flipped,
        lambda body: body.update(extra=1),
        lambda body: body.update(format="viz-node/keystore/1"),
        lambda body: body.pop("sha256"),
        lambda body: body.update(keys=[]),
        lambda body: body["keys"].update(cost=2**40),
    ],
    ids=["bit", "extra", "format", "checksum", "shape", "cost"],
)
def test_open_backup__damaged_copy__said_whatever_the_passphrase(
    written: Path, tmp_path: Path, damage: Callable[[dict[str, Any]], None]
) -> None:
    body = json.loads(written.read_bytes())
    damage(body)
    copy = tmp_path / "copy"
    copy.write_text(json.dumps(body))
    with pytest.raises(VerificationError, match="damaged"):
        open_backup(copy, "any")


@pytest.mark.parametrize("raw", [b"", b"[" * 10_000, b"\xff", b"{}"])
def test_open_backup__no_backup__refused(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "x").write_bytes(raw)
    with pytest.raises(VerificationError):
        open_backup(tmp_path / "x", PASSPHRASE)
    with pytest.raises(StorageError):
        open_backup(tmp_path / "y", PASSPHRASE)


def test_write_backup__file_or_link_is_there__untouched(keys: NodeKeys, tmp_path: Path) -> None:
    target = tmp_path / "precious"
    target.write_text("mine")
    (tmp_path / "link").symlink_to(target)
    (tmp_path / "dangling").symlink_to(tmp_path / "nowhere")
    for path in (target, tmp_path / "link", tmp_path / "dangling"):
        with pytest.raises(RefusedError):
            write_backup(path, keys, PASSPHRASE)
        with pytest.raises(RefusedError):
            write_wallet_file(path, keys.account_key, PASSPHRASE)
    assert target.read_text() == "mine"
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("weak", ["", "short", "eleven char", "aaaaaaaaaaaaaaaaaaaa", "ababababababab"])
def test_require_strong__weak__said_what_is_missing(weak: str) -> None:
    with pytest.raises(UsageError, match="12 characters"):
        require_strong(weak)
    require_strong(PASSPHRASE)


def test_wallet_file__round_trip__is_read_by_other_wallets(keys: NodeKeys, tmp_path: Path) -> None:
    from eth_account import Account

    path = tmp_path / "wallet.json"
    write_wallet_file(path, keys.account_key, PASSPHRASE)
    assert bytes(Account.decrypt(path.read_text(), PASSPHRASE)) == keys.account_key
    assert read_wallet_file(path, PASSPHRASE) == keys.account_key
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(PassphraseError):
        read_wallet_file(path, "another")


@pytest.mark.parametrize(
    "costs",
    [
        {"n": 2**24, "r": 8, "p": 1, "dklen": 32},
        {"n": 2**14, "r": 2**20, "p": 1, "dklen": 32},
        {"n": 2**14, "r": 8, "p": 2**20, "dklen": 32},
        {"n": "9", "r": 8, "p": 1, "dklen": 32},
        {"n": 2**14, "r": 8, "p": 1, "dklen": 2**30},
        {},
    ],
    ids=str,
)
def test_read_wallet_file__hostile_cost__refused_before_the_work(tmp_path: Path, costs: dict[str, Any]) -> None:
    path = tmp_path / "wallet.json"
    path.write_text(json.dumps({"version": 3, "crypto": {"kdf": "scrypt", "kdfparams": costs}}))
    with pytest.raises(VerificationError):
        read_wallet_file(path, PASSPHRASE)


def test_seal_keys__of_the_backup__takes_the_strong_cost(keys: NodeKeys) -> None:
    assert seal_keys(keys, PASSPHRASE, strong=True)["cost"] == 2**17
