"""The node's keys in use: the one object through which services sign, seal and unwrap."""

import ctypes
import os
import resource
import secrets
import sys
from collections.abc import Callable
from pathlib import Path

from viz_node.daemon.config import passphrase, read_passphrase
from viz_node.domain.ids import Account
from viz_node.errors import RefusedError, UsageError
from viz_node.files import write_whole
from viz_node.identity import keystore, sealing, signatures

KEYSTORE = Path("keys") / "keystore.json"
SCRAPE_TOKEN = "metrics.token"
MACHINE_MADE = Path("keys") / "passphrase"
_PR_SET_DUMPABLE = 4


def shield_process() -> None:
    """Keep this process's memory out of core files and away from other processes of the same user.

    Processes that it starts are as readable as any other.
    """
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    if sys.platform == "linux":
        # A crash handler behind a pipe does not look at the limit, but at this flag.
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)


def unlock(home: Path) -> keystore.NodeKeys:
    """Open the home's keystore, or make it on the first run.

    Raises: PassphraseError, VerificationError, RefusedError, and as `stored_passphrase` and `lock_away`.
    """
    if os.path.lexists(home / KEYSTORE):
        return keystore.open_keystore(home / KEYSTORE, stored_passphrase(home))
    if any(home.glob("keys.old-*")):
        # A restore was killed between its two renames: drawing keys now would start another account.
        raise RefusedError(f"{home} has no keys but old ones", "restore them: viz-node keys restore FILE")
    keys = keystore.new_keys()
    lock_away(home / "keys", keys)
    return keys


def stored_passphrase(home: Path) -> str:
    """From VIZ_NODE_PASSPHRASE_FILE, else the one drawn by the first run. Raises: UsageError (there is neither)."""
    return passphrase() or read_passphrase(home / MACHINE_MADE, "set VIZ_NODE_PASSPHRASE_FILE")


def has_passphrase(home: Path) -> bool:
    """Whether there is a file that may hold the passphrase; it is not tried."""
    try:
        stored_passphrase(home)
    except UsageError:
        return False
    return True


def lock_away(directory: Path, keys: keystore.NodeKeys) -> None:
    """Write the keystore into the directory, with a drawn passphrase of its own beside it, mode 0600.

    A passphrase from outside (VIZ_NODE_PASSPHRASE_FILE) is preferred, and then nothing is written beside the keystore.
    Raises: UsageError (no passphrase in that file), StorageError.
    """
    given, path = passphrase(), directory / KEYSTORE.name
    if given is None:
        drawn = secrets.token_hex(32)
        # Durable before the keystore that depends on it.
        write_whole(directory / MACHINE_MADE.name, drawn.encode())
        keystore.write_keystore(path, keys, drawn, strong=False)
    else:
        keystore.write_keystore(path, keys, given, strong=True)


def scrape_token(home: Path) -> str:
    """The token that lets a monitoring system read figures only; drawn once. Raises: StorageError, UsageError."""
    path = home / SCRAPE_TOKEN
    if not path.exists():
        write_whole(path, secrets.token_urlsafe(32).encode())
    return read_passphrase(path, f"remove {path}; the next start draws another")


class Sealing:
    """Signatures, seals and wrapped keys of one node; fits the Protocols of `ports.keys`."""

    def __init__(self, keys: keystore.NodeKeys, sign_text: Callable[[str], str] | None = None) -> None:
        self._keys = keys
        self._sign_text = sign_text or (lambda text: signatures.sign_as_account(keys.account_key, text))

    def seal(self, plain: bytes) -> bytes:
        """Under the node's own content key."""
        return sealing.seal_bytes(plain, self._keys.content_key)

    def open(self, sealed: bytes) -> bytes:
        """The bytes that `seal` sealed. Raises: VerificationError."""
        return sealing.open_bytes(sealed, self._keys.content_key)

    def sign(self, message: bytes) -> bytes:
        """As this peer."""
        return signatures.sign_bytes(self._keys.network_seed, message)

    def sign_as_account(self, text: str) -> str:
        """Sign as this account (EIP-191); an external signer may be slow, so do not call it on an event loop."""
        return self._sign_text(text)

    def recover_account(self, text: str, signature: str) -> Account:
        """The peer that signed. Raises: VerificationError."""
        return signatures.recover_account(text, signature)

    def new_key(self) -> bytes:
        """A random 32-byte key."""
        return sealing.new_key()

    def seal_file(self, source: Path, destination: Path, key: bytes) -> None:
        """Seal a file under a key. Raises: StorageError."""
        sealing.seal_file(source, destination, key)

    def open_sealed_file(self, source: Path, destination: Path, key: bytes) -> None:
        """Open a sealed file. Raises: VerificationError, StorageError."""
        sealing.open_sealed_file(source, destination, key)

    def delivery_public(self) -> bytes:
        """The X25519 key to which others wrap keys for this node."""
        return sealing.x25519_public(self._keys.delivery_key)

    def wrap_key(self, public_x25519: bytes, key: bytes, info: bytes) -> bytes:
        """Wrap a key for its receiver (HPKE). Raises: VerificationError."""
        return sealing.wrap_key(public_x25519, key, info)

    def unwrap_key(self, wrapped: bytes, info: bytes) -> bytes:
        """Unwrap a key for this node. Raises: VerificationError."""
        return sealing.unwrap_key(self._keys.delivery_key, wrapped, info)
