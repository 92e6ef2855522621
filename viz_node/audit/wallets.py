"""Signatures of contract accounts in an audit: asked of an endpoint once, and kept as evidence for later checks."""

from collections.abc import Collection

from viz_node.audit.evidence import WalletWord
from viz_node.chain.contract.wallets import accepts_signature
from viz_node.chain.encoding.hashing import keccak
from viz_node.chain.node.rpc import JsonRpc
from viz_node.domain.ids import Account
from viz_node.domain.signing import text_digest


class Wallets:
    """What contract accounts take: by their own word if there is an endpoint to ask, else by what was told before."""

    def __init__(self, told: Collection[WalletWord], rpc: JsonRpc | None) -> None:
        self._told, self._rpc = told, rpc
        self.taken: set[WalletWord] = set()

    def accepts(self, account: Account, text: str, signature: str, block: int) -> bool:
        """Whether the account took the signature at the block. Raises: ChainUnavailableError."""
        digest, raw = text_digest(text), bytes.fromhex(signature.removeprefix("0x"))
        word = account, block, keccak(digest + raw).hex()
        if self._rpc is not None:
            is_taken = accepts_signature(self._rpc, account, digest, raw, block)
        else:
            is_taken = word in self._told
        if is_taken:
            self.taken.add(word)
        return is_taken
