"""Questions to accounts that are contracts."""

from viz_node.chain.contract.wallets import accepts_signature
from viz_node.chain.gateway.reader import MarketReader
from viz_node.domain.ids import Account


class WalletsGateway(MarketReader):
    """What contract accounts have signed."""

    def accepts_signature(self, account: Account, digest: bytes, signature: bytes, block: int | None = None) -> bool:
        """As the function of this name. Raises: ChainUnavailableError."""
        return accepts_signature(self._rpc, account, digest, signature, block)
