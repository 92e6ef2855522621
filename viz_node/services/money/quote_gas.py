"""What a transaction's gas would cost; nothing is signed or sent here."""

import asyncio

from viz_node.domain.transaction import Call
from viz_node.ports.money import GasPricing


class GasQuotes:
    """All that a plan may ask of an account's money; fits `Quotes`."""

    def __init__(self, pricing: GasPricing) -> None:
        self._pricing = pricing

    async def quote_wei(self, call: Call) -> int:
        """The most that the call's gas may cost now. Raises: TransactionRevertedError, ChainUnavailableError."""
        return await asyncio.to_thread(self._pricing.quote_wei, call)
