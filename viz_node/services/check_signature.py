"""Whether an account signed a text: by its key, or, if it is a contract, by the contract's own word (ERC-1271)."""

from contextlib import suppress

from viz_node.domain.ids import Account
from viz_node.errors import VerificationError
from viz_node.services.trade import Trade

MAX_SIGNATURE_BYTES = 1024
"""A Safe's signature has 65 bytes for each of its owners."""


def is_signed(trade: Trade, account: Account, text: str, signature: str) -> bool:
    """Asks the chain only if the signature is not that of the account's key. Raises: ChainUnavailableError."""
    try:
        raw = bytes.fromhex(signature.removeprefix("0x"))
    except ValueError:
        return False
    if not 0 < len(raw) <= MAX_SIGNATURE_BYTES:
        return False
    with suppress(VerificationError):
        if trade.sealing.recover_account(text, signature) == account:
            return True
    return trade.market.accepts_signature(account, trade.sealing.text_digest(text), raw)
