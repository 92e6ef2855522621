"""The account's key as a Web3 Secret Storage file, version 3, which wallets read and write."""

from pathlib import Path
from typing import Any

from viz_node.domain.strict_json import MalformedError, parse_json, why_malformed
from viz_node.errors import PassphraseError, VerificationError, already_there
from viz_node.files import kind_of, write_whole
from viz_node.identity.backup import require_strong
from viz_node.identity.keystore import as_text, read_bounded

# A file from elsewhere names its own cost: what geth writes (n = 2^18, r = 8, 256 MiB) is the most that is tried.
MAX_SCRYPT_BYTES = 128 * 2**18 * 8
MAX_ROUNDS = 2_000_000


def write_wallet_file(path: Path, account_key: bytes, passphrase: str) -> None:
    """Write a new file, mode 0600. Raises: UsageError (weak passphrase), RefusedError (it exists), StorageError."""
    from eth_account import Account as EthAccount

    require_strong(passphrase)
    if path.exists() or path.is_symlink():
        raise already_there(path, "name a new file")
    write_whole(path, as_text(EthAccount.encrypt(account_key, passphrase, kdf="scrypt")), is_new=True)


def read_wallet_file(path: Path, passphrase: str) -> bytes:
    """The 32-byte key. Raises: VerificationError (not such a file), PassphraseError, StorageError."""
    from eth_account import Account as EthAccount

    raw = read_bounded(path)
    try:
        body = parse_json(raw)
        _check_cost(body)
    except (ValueError, KeyError, TypeError, RecursionError, AttributeError) as error:
        told = kind_of(raw) or f": {why_malformed(error)}"
        hint = "name a Web3 keystore of version 3; a backup is opened by: viz-node keys restore FILE"
        raise VerificationError(f"{path} is not a wallet file that this node opens{told}", hint) from error
    try:
        return bytes(EthAccount.decrypt(body, passphrase))
    except Exception as error:  # eth_keyfile raises what its parts raise, for a foreign file too
        raise PassphraseError("the passphrase is wrong, or the wallet file is damaged", "try again") from error


def _check_cost(body: Any) -> None:
    if body["version"] != 3:
        raise MalformedError("its version is not 3")
    kdf, costs = body["crypto"]["kdf"], body["crypto"]["kdfparams"]
    names = {"scrypt": ("n", "r", "p", "dklen"), "pbkdf2": ("c", "dklen")}[kdf]
    if not all(type(costs[name]) is int and costs[name] > 0 for name in names) or costs["dklen"] != 32:
        raise MalformedError("its key derivation is malformed")
    if kdf == "scrypt" and (128 * costs["n"] * costs["r"] > MAX_SCRYPT_BYTES or costs["p"] > 8):
        raise MalformedError("its key derivation would take too much memory")
    if kdf == "pbkdf2" and costs["c"] > MAX_ROUNDS:
        raise MalformedError("its key derivation would take too long")
