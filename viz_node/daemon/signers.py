"""Who signs for the node's account: the keystore's key, or a program that holds the key elsewhere."""

from dataclasses import replace

from viz_node.chain.account.remote_signer import RemoteSigner
from viz_node.chain.account.signing import KeySigner, Signer
from viz_node.daemon.config import Config
from viz_node.domain.ids import parse_account
from viz_node.errors import UsageError
from viz_node.identity.keystore import NodeKeys


def with_account(config: Config, keys: NodeKeys) -> NodeKeys:
    """The keys in use: with a signer configured, its account, and no account key in this process.

    Raises: UsageError (no account is named), UnreachableError, RefusedError, VerificationError (not its signature).
    """
    if not config.signer_url:
        return keys
    try:
        account = parse_account(config.signer_account.lower())
    except UsageError as error:
        raise UsageError(f"signer_account: {error.message}", "name the account that signer_url signs for") from error
    signer = RemoteSigner(config.signer_url, account, config.signer_timeout_seconds)
    try:
        signer.check()
    finally:
        signer.close()
    return replace(keys, account=account, account_key=b"")


def make_signer(config: Config, keys: NodeKeys) -> Signer:
    """What signs transactions and texts of the account."""
    if config.signer_url:
        return RemoteSigner(config.signer_url, keys.account, config.signer_timeout_seconds)
    return KeySigner(keys.account_key)
