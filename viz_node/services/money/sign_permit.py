"""Permits: signed leave for the market to take an amount, which moves nothing until a transaction carries it."""

from collections.abc import Callable

from viz_node.domain.ids import Account, TokenAmount
from viz_node.domain.transaction import Call, TypedData
from viz_node.errors import RefusedError
from viz_node.ports.money import PermitTokens, TypedDataSigning

# Longer than a block takes to become final: what a reorganisation takes out is sent again as it is.
PERMIT_SECONDS = 3600
MakeCall = Callable[[], Call]
Permit = tuple[TypedData, bytes]


class Permits:
    """Permits of exactly the amount that is paid; every call blocks."""

    def __init__(self, market: PermitTokens, signer: TypedDataSigning, account: Account) -> None:
        self._market = market
        self._signer = signer
        self._account = account

    @property
    def asks_nobody(self) -> bool:
        """Whether a permit can be signed only to simulate with it."""
        return self._signer.asks_nobody

    def may_be_signed(self, amount: TokenAmount) -> bool:
        """Whether the token has permits; nobody is asked for a signature."""
        return self._to_sign(amount) is not None

    def sign(self, amount: TokenAmount) -> Permit | None:
        """A permit that the token takes; None if there is none to be had."""
        permit = self._to_sign(amount)
        if permit is None:
            return None
        try:
            signature = self._signer.sign_typed_data(permit)
        except RefusedError:  # a signer that knows no typed data, or whose rules allow none
            return None
        return (permit, signature) if self._market.takes_permit(permit, signature) else None

    def attach(self, make_call: MakeCall, permit: Permit) -> MakeCall:
        """The call, with the permit that pays for it."""
        return lambda: self._market.prepare_with_permit(make_call(), *permit)

    def _to_sign(self, amount: TokenAmount) -> TypedData | None:
        deadline = self._market.block_time() + PERMIT_SECONDS
        return self._market.permit_to_sign(self._account, amount, deadline)
