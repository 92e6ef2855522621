"""Checkpoints of audits as files, and the key that signs them; needs no node.

An auditor's own key is kept in the user's configuration, readable by that user only; it signs only checkpoints and
reports. A checkpoint by any other account counts only if the caller names that account.
"""

import os
import secrets
import stat
from collections.abc import Sequence
from pathlib import Path

from viz_node.audit import Checkpoint, Examination, checkpoint_of
from viz_node.audit.checkpoint import FORMAT, MOST_CHECKPOINT_BYTES, encode_checkpoint, parse_checkpoint
from viz_node.domain.ids import parse_account
from viz_node.errors import RefusedError, StorageError, UsageError, VerificationError, already_there
from viz_node.files import kind_of, read_regular_file, write_whole
from viz_node.identity.signatures import account_of, recover_account, sign_as_account

MAX_KEY_BYTES = 1024
_KEY_HINT = "name a file with the 64 hex digits of a secp256k1 key"


def read_checkpoint(path: Path, own_key: Path, signers: Sequence[str]) -> Checkpoint:
    """The checkpoint in a file, signed by the key in `own_key` or by one of `signers`, as all that it rests on.

    Raises: VerificationError, UsageError, StorageError.
    """
    found, signature = _read(path)
    if recover_account(found.statement.signed_text(), signature) != found.signer:
        raise VerificationError("the checkpoint is not signed by the account that it names")
    trusted = {parse_account(text) for text in signers}
    trusted |= {account_of(read_key(own_key))} if own_key.exists() else set()
    strangers = [name for name in found.trusted if name not in trusted]
    if strangers:
        raise VerificationError(
            f"the checkpoint is the word of {', '.join(strangers)}, which is not your own key's account",
            f"trust it for all before its block with --signer {strangers[0]}, or run a full audit",
        )
    return found


def _read(path: Path) -> tuple[Checkpoint, str]:
    try:
        raw = read_regular_file(path, MOST_CHECKPOINT_BYTES)
    except OSError as error:
        hint = "write one: viz-node audit --rpc-url URL --deployment FILE --checkpoint FILE"
        raise StorageError(f"cannot read {path}: {error.strerror}", hint) from error
    try:
        return parse_checkpoint(raw)
    except VerificationError as error:
        is_checkpoint = FORMAT.encode() in raw.partition(b"\n")[0]
        raise VerificationError(
            f"{path}: {error.message}{'' if is_checkpoint else kind_of(raw)}", error.hint
        ) from error


def check_targets(report: Path | None, checkpoint: Path | None) -> None:
    """Before an audit that may take long. Raises: RefusedError if one of the files may not be written."""
    if report is not None and os.path.lexists(report):
        raise already_there(report, "choose another --report FILE")
    if checkpoint is not None:
        check_target(checkpoint)


def check_target(path: Path) -> None:
    """Raises: RefusedError unless a checkpoint may be written there: nothing is there, or an older checkpoint."""
    if not os.path.lexists(path):
        return
    try:
        is_checkpoint = FORMAT.encode() in read_regular_file(path, MOST_CHECKPOINT_BYTES).partition(b"\n")[0]
    except (OSError, UsageError):
        is_checkpoint = False
    if not is_checkpoint:
        raise RefusedError(f"{path} is there and is no checkpoint", "name another --checkpoint FILE")


def write_checkpoint(found: Examination, path: Path, key_path: Path) -> dict[str, object]:
    """Sign and write a checkpoint in one step, over an older one; returns its facts.

    Raises: RefusedError (the audit does not hold, or `path` is something else), StorageError, UsageError.
    """
    check_target(path)
    key = own_key(key_path)
    signer = account_of(key)
    statement, state = checkpoint_of(found, signer)
    raw = encode_checkpoint(statement, state, signer, sign_as_account(key, statement.signed_text()))
    if len(raw) > MOST_CHECKPOINT_BYTES:
        raise StorageError(f"the market's state takes more than the {MOST_CHECKPOINT_BYTES >> 20} MiB of a checkpoint")
    write_whole(path, raw)
    return {"path": str(path), "block": statement.block, "entries": statement.entries, "signer": signer}


def own_key(path: Path) -> bytes:
    """The auditor's key, made when there is none. Raises: StorageError, UsageError."""
    if not path.exists():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            with os.fdopen(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600), "w") as file:
                file.write(f"{secrets.token_hex(32)}\n")
        except OSError as error:
            raise StorageError(f"cannot write {path}: {error.strerror}", "name a key file with --key FILE") from error
    return read_key(path)


def read_key(path: Path) -> bytes:
    """The key in a file that nobody else may read. Raises: StorageError, UsageError."""
    try:
        if path.stat().st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            raise UsageError(f"{path} may be read by others", f"chmod 600 {path}")
        key = bytes.fromhex(read_regular_file(path, MAX_KEY_BYTES).decode().strip().removeprefix("0x"))
    except OSError as error:
        raise StorageError(f"cannot read {path}: {error.strerror}", _KEY_HINT) from error
    except ValueError as error:
        raise UsageError(f"{path} holds no key", _KEY_HINT) from error
    if len(key) != 32:
        raise UsageError(f"{path} holds no key", _KEY_HINT)
    return key
