"""The node's four secret keys in one passphrase-protected file.

The file is JSON: the public names, the parameters of scrypt (RFC 7914) and the keys under AES-256-GCM, with all the
rest bound as associated data. A strong keystore (a person's passphrase) takes 128 MiB and about 0.4 s to try one
passphrase; the light form is for passphrases that a machine drew with 128 bits or more.
"""

import base64
import json
import os
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from viz_node.domain.ids import Account, PeerId, parse_account
from viz_node.domain.strict_json import MalformedError, parse_json, why_malformed
from viz_node.errors import PassphraseError, RefusedError, StorageError, UsageError, VerificationError
from viz_node.files import read_regular_file, write_whole
from viz_node.identity.signatures import account_of, ed25519_public, peer_id_of

FORMAT = "viz-node/keystore/1"
STRONG_COST = 2**17
LIGHT_COST = 2**14
MAX_KEYSTORE_BYTES = 16 * 1024
_KEY_NAMES = ("network_seed", "account_key", "content_key", "delivery_key")


@dataclass(frozen=True)
class NodeKeys:
    """The opened keystore: Ed25519 seed, secp256k1 key, AES key for own content, X25519 key for deliveries.

    The secrets stay out of `repr`, so that no log can show them.
    """

    account: Account
    peer_id: PeerId
    network_seed: bytes = field(repr=False)
    account_key: bytes = field(repr=False)
    content_key: bytes = field(repr=False)
    delivery_key: bytes = field(repr=False)


def new_keys(account_key: bytes | None = None) -> NodeKeys:
    """Draw keys, or take a given account key and draw the rest. Raises: UsageError (bad key)."""
    seed = secrets.token_bytes(32)
    own_key = account_key if account_key is not None else (secrets.randbelow(2**255) + 1).to_bytes(32, "big")
    return NodeKeys(
        account=account_of(own_key),
        peer_id=peer_id_of(ed25519_public(seed)),
        network_seed=seed,
        account_key=own_key,
        content_key=secrets.token_bytes(32),
        delivery_key=secrets.token_bytes(32),
    )


def create_keystore(path: Path, passphrase: str, strong: bool, account_key: bytes | None = None) -> NodeKeys:
    """Draw new keys (or take a given account key) and write the file, mode 0600, durable on return.

    Raises: RefusedError (the file exists), UsageError (empty passphrase, bad key), StorageError.
    """
    if os.path.lexists(path):
        raise RefusedError(f"{path} exists already", "a keystore is never overwritten; move it away first")
    keys = new_keys(account_key)
    write_keystore(path, keys, passphrase, strong)
    return keys


def write_keystore(path: Path, keys: NodeKeys, passphrase: str, strong: bool) -> None:
    """Write given keys to a new file. Raises: UsageError (empty passphrase), StorageError (it exists, or the disk)."""
    write_whole(Path(path), as_text(seal_keys(keys, passphrase, strong)), is_new=True)


def open_keystore(path: Path, passphrase: str) -> NodeKeys:
    """Open the file. Raises: PassphraseError, VerificationError (not a keystore), StorageError (not readable)."""
    return open_sealed_keys(_read(Path(path)), passphrase, str(path))


def open_sealed_keys(body: dict[str, Any], passphrase: str, place: str) -> NodeKeys:
    """Open what `parse_sealed_keys` let pass. Raises: PassphraseError, VerificationError."""
    nonce, sealed = base64.b64decode(body["nonce"]), base64.b64decode(body["sealed"])
    try:
        plain = _cipher(passphrase, base64.b64decode(body["salt"]), body["cost"]).decrypt(nonce, sealed, _bound(body))
    except InvalidTag as error:
        raise PassphraseError(
            "the passphrase is wrong, or the keystore was changed", "try again, or restore the keystore from its backup"
        ) from error
    if len(plain) != 32 * len(_KEY_NAMES):
        raise VerificationError(f"{place} holds no keys of this format")
    secret = {name: plain[32 * i : 32 * (i + 1)] for i, name in enumerate(_KEY_NAMES)}
    return NodeKeys(account=Account(body["account"]), peer_id=PeerId(body["peer_id"]), **secret)


def read_names(path: Path) -> tuple[Account, PeerId]:
    """Account and peer id without a passphrase, unchecked until the file is opened.

    Raises: VerificationError, StorageError.
    """
    body = _read(Path(path))
    return Account(body["account"]), PeerId(body["peer_id"])


def change_passphrase(path: Path, old: str, new: str, strong: bool) -> None:
    """Write the same keys under another passphrase; a crash leaves the old file or the new one.

    Raises: PassphraseError, VerificationError, UsageError, StorageError.
    """
    keys = open_keystore(path, old)
    write_whole(Path(path), as_text(seal_keys(keys, new, strong)))


def seal_keys(keys: NodeKeys, passphrase: str, strong: bool) -> dict[str, Any]:
    """The keystore's JSON object. Raises: UsageError (empty passphrase)."""
    cost = STRONG_COST if strong else LIGHT_COST
    salt, nonce = secrets.token_bytes(32), secrets.token_bytes(12)
    body: dict[str, Any] = {
        "format": FORMAT,
        "account": keys.account,
        "peer_id": keys.peer_id,
        "cost": cost,
        "salt": base64.b64encode(salt).decode(),
        "nonce": base64.b64encode(nonce).decode(),
    }
    plain = b"".join(getattr(keys, name) for name in _KEY_NAMES)
    sealed = _cipher(passphrase, salt, cost).encrypt(nonce, plain, _bound(body))
    body["sealed"] = base64.b64encode(sealed).decode()
    return body


def as_text(body: dict[str, Any]) -> bytes:
    """A JSON object as a person can look at it."""
    return (json.dumps(body, indent=2) + "\n").encode()


def _cipher(passphrase: str, salt: bytes, cost: int) -> AESGCM:
    if not passphrase:
        raise UsageError("the passphrase is empty")
    return AESGCM(Scrypt(salt=salt, length=32, n=cost, r=8, p=1).derive(passphrase.encode()))


def _bound(body: dict[str, Any]) -> bytes:
    public = {name: value for name, value in body.items() if name != "sealed"}
    return json.dumps(public, sort_keys=True, separators=(",", ":")).encode()


def read_bounded(path: Path) -> bytes:
    """The file, which no key file exceeds. Raises: StorageError, VerificationError (a device or a pipe, too large)."""
    try:
        return read_regular_file(path, MAX_KEYSTORE_BYTES)
    except UsageError as error:
        raise VerificationError(error.message, error.hint) from error
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}", "see `viz-node doctor`") from error


def _read(path: Path) -> dict[str, Any]:
    raw = read_bounded(path)
    try:
        return parse_sealed_keys(parse_json(raw))
    except (ValueError, KeyError, TypeError, RecursionError, UsageError) as error:
        raise VerificationError(
            f"{path} is not a keystore: {why_malformed(error)}", "restore it from its backup"
        ) from error


def parse_sealed_keys(body: Any) -> dict[str, Any]:
    """Check the shape of a keystore's JSON object. Raises: ValueError, UsageError."""
    expected = {"format": str, "account": str, "peer_id": str, "cost": int, "salt": str, "nonce": str, "sealed": str}
    if not isinstance(body, dict) or {key: type(value) for key, value in body.items()} != expected:
        raise MalformedError("its fields are not those of a keystore")
    if body["format"] != FORMAT or body["cost"] not in (LIGHT_COST, STRONG_COST):
        raise MalformedError("its format or its cost is unknown")
    sizes = [len(base64.b64decode(body[name], validate=True)) for name in ("salt", "nonce", "sealed")]
    if sizes != [32, 12, 32 * len(_KEY_NAMES) + 16]:
        raise MalformedError("a field has the wrong size")
    if parse_account(body["account"]) != body["account"]:
        raise MalformedError("the account is not in lower case")
    return body
