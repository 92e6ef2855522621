"""The four keys in one file to keep elsewhere: sealed under a person's passphrase, with a checksum against bad copies.

The checksum needs no passphrase, so that its keeper can tell a damaged copy from a wrong passphrase.
"""

import hashlib
import json
from pathlib import Path
from typing import Any

from viz_node.domain.strict_json import MalformedError, parse_json, why_malformed
from viz_node.errors import UsageError, VerificationError, already_there
from viz_node.files import write_whole
from viz_node.identity.keystore import (
    NodeKeys,
    as_text,
    open_sealed_keys,
    parse_sealed_keys,
    read_bounded,
    seal_keys,
)

FORMAT = "viz-node/backup/1"
MIN_CHARACTERS = 12
MIN_DISTINCT = 6


def require_strong(passphrase: str) -> None:
    """Check the minimum strength of a person's passphrase. Raises: UsageError."""
    if len(passphrase) < MIN_CHARACTERS or len(set(passphrase)) < MIN_DISTINCT:
        raise UsageError(
            f"the passphrase has not {MIN_CHARACTERS} characters, {MIN_DISTINCT} of them different",
            "take five random words or more: the file can be tried offline, without limit",
        )


def write_backup(path: Path, keys: NodeKeys, passphrase: str) -> None:
    """Write a new file, mode 0600. Raises: UsageError (weak passphrase), RefusedError (it exists), StorageError."""
    require_strong(passphrase)
    if path.exists() or path.is_symlink():
        raise already_there(path, "name a new file")
    sealed = seal_keys(keys, passphrase, strong=True)
    write_whole(path, as_text({"format": FORMAT, "keys": sealed, "sha256": _checksum(sealed)}), is_new=True)


def open_backup(path: Path, passphrase: str) -> NodeKeys:
    """The keys. Raises: VerificationError (damaged, or no backup), PassphraseError, StorageError."""
    raw = read_bounded(path)
    try:
        body = parse_json(raw)
        if not isinstance(body, dict) or set(body) != {"format", "keys", "sha256"} or body["format"] != FORMAT:
            raise MalformedError("its fields are not those of a backup")
        sealed = parse_sealed_keys(body["keys"])
        if body["sha256"] != _checksum(sealed):
            raise MalformedError("its checksum does not match")
    except (ValueError, TypeError, RecursionError, UsageError) as error:
        told = f"{path} is not a backup, or is damaged: {why_malformed(error)}"
        raise VerificationError(told, "take another copy") from error
    return open_sealed_keys(sealed, passphrase, str(path))


def _checksum(sealed: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(sealed, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
