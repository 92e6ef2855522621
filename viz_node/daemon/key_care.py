"""The keys of a home, without the node: backup, restore, another passphrase, the account from a wallet."""

import os
import secrets
import shutil
from dataclasses import replace
from itertools import count
from pathlib import Path

from viz_node.daemon.secrets import KEYSTORE, MACHINE_MADE, lock_away, stored_passphrase
from viz_node.domain.ids import Account, PeerId
from viz_node.errors import NotFoundError, RefusedError, StorageError
from viz_node.identity import backup, keystore, wallet_file
from viz_node.identity.signatures import account_of
from viz_node.storage.home import open_home, private_directory


def names(home: Path) -> tuple[Account, PeerId]:
    """Account and peer id, without a passphrase. Raises: NotFoundError, StorageError, VerificationError."""
    return keystore.read_names(_existing(home))


def back_up(home: Path, target: Path, new_passphrase: str) -> keystore.NodeKeys:
    """Write the backup, also while the node runs, and open it once. Raises: VizNodeError."""
    keys = _opened(home)
    backup.write_backup(target, keys, new_passphrase)
    return backup.open_backup(target, new_passphrase)


def restore(home: Path, source: Path, its_passphrase: str, force: bool) -> tuple[keystore.NodeKeys, Path | None]:
    """Make the backup's keys those of the home; says where other keys went. Raises: VizNodeError."""
    keys = backup.open_backup(source, its_passphrase)
    with open_home(home):
        return keys, _install(home, keys, force)


def change_passphrase(home: Path, new: str) -> None:
    """Lock the keystore with a person's passphrase, and forget one that the machine drew. Raises: VizNodeError."""
    backup.require_strong(new)
    with open_home(home):
        keystore.change_passphrase(_existing(home), stored_passphrase(home), new, strong=True)
        (home / MACHINE_MADE).unlink(missing_ok=True)


def export_account(home: Path, target: Path, new_passphrase: str) -> Account:
    """Write the account's key for wallets. Raises: VizNodeError."""
    keys = _opened(home)
    wallet_file.write_wallet_file(target, keys.account_key, new_passphrase)
    return keys.account


def import_account(home: Path, source: Path, its_passphrase: str, force: bool) -> tuple[Account, Path | None]:
    """Make the wallet's account that of the home; its other keys stay, or are drawn. Raises: VizNodeError."""
    key = wallet_file.read_wallet_file(source, its_passphrase)
    with open_home(home):
        if os.path.lexists(home / KEYSTORE):
            keys = replace(_opened(home), account=account_of(key), account_key=key)
        else:
            keys = keystore.new_keys(key)
        return keys.account, _install(home, keys, force)


def _install(home: Path, keys: keystore.NodeKeys, force: bool) -> Path | None:
    """Put the keys in place of those that are there, which are kept; a crash leaves the old ones or the new ones."""
    present = os.path.lexists(home / KEYSTORE)
    if present and not force:
        account, _ = names(home)
        raise RefusedError(f"{home} has keys already, of account {account}", "--force puts them aside and keeps them")
    fresh = private_directory(home, f"keys.new-{secrets.token_hex(4)}")
    try:
        lock_away(fresh, keys)
        return _exchange(home, fresh)
    except OSError as error:
        raise StorageError(f"cannot exchange {home / 'keys'}: {error.strerror}", "check the disk") from error
    finally:
        shutil.rmtree(fresh, ignore_errors=True)


def _exchange(home: Path, fresh: Path) -> Path | None:
    place, aside = home / "keys", None
    if place.exists() and any(place.iterdir()):
        aside = next(path for number in count(1) if not (path := home / f"keys.old-{number}").exists())
        place.rename(aside)
    fresh.rename(place)
    directory = os.open(home, os.O_RDONLY | os.O_DIRECTORY)
    os.fsync(directory)
    os.close(directory)
    return aside


def _opened(home: Path) -> keystore.NodeKeys:
    return keystore.open_keystore(_existing(home), stored_passphrase(home))


def _existing(home: Path) -> Path:
    if not os.path.lexists(home / KEYSTORE):
        raise NotFoundError(f"{home} has no keys yet", "viz-node start, or viz-node keys restore FILE")
    return home / KEYSTORE
