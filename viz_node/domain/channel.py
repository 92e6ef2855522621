"""A channel for metered use, as the chain has it."""

from dataclasses import dataclass

from viz_node.domain.ids import Account, TokenAmount


@dataclass(frozen=True)
class Channel:
    """An open channel; `uses` were redeemed, and `close_at` is the second from which the rest can be taken back."""

    number: int
    session_account: Account
    close_at: int
    split_id: int
    deposit: TokenAmount
    price: TokenAmount
    uses: int
    payer: Account
    offer_id: int

    @property
    def redeemed(self) -> TokenAmount:
        """Units that went to the split."""
        return TokenAmount(self.uses * self.price)
