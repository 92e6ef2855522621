"""What the gas of a payment would cost, by the way in which it would be paid; nothing is sent here."""

import asyncio
from dataclasses import dataclass

from viz_node.domain.ids import Account, TokenAmount
from viz_node.ports.money import Allowing, Quotes
from viz_node.services.money.sign_permit import MakeCall, Permits

# An order takes 97 439 gas and an approval half (contracts/snapshots/Parts.json); a permit adds less than an approval.
CALL_PER_APPROVAL = 4
# Taking back costs 26 000 gas or more, and giving at most 50 000.
APPROVAL_PER_REVOCATION = 2


@dataclass(frozen=True)
class PaymentQuote:
    """The most that the gas of a payment may cost; `approval_wei` is 0 if it takes one transaction."""

    approval_wei: int
    call_wei: int


class PaymentQuotes:
    """The cost of `Payments.execute`."""

    def __init__(self, market: Allowing, quotes: Quotes, permits: Permits, account: Account) -> None:
        self._market = market
        self._quotes = quotes
        self._permits = permits
        self._account = account

    async def quote(self, amount: TokenAmount, make_call: MakeCall) -> PaymentQuote:
        """What the payment would cost in gas; nothing is sent, and nobody is asked for a signature.

        A key of this process signs a permit to simulate with. The endpoint sees it, and gains nothing by using it.

        Raises: TransactionRevertedError, InsufficientFundsError, ChainUnavailableError.
        """
        permits = self._permits
        left = await asyncio.to_thread(self._market.allowance, self._account)
        if left >= amount:
            return PaymentQuote(0, await self._quote(make_call))
        if not permits.asks_nobody:
            is_one = await asyncio.to_thread(permits.may_be_signed, amount)
            allowing, approval = await self._quote_allowing(amount, left)
            return PaymentQuote(0 if is_one else allowing, CALL_PER_APPROVAL * approval)
        permit = await asyncio.to_thread(permits.sign, amount)
        if permit is None:
            allowing, approval = await self._quote_allowing(amount, left)
            return PaymentQuote(allowing, CALL_PER_APPROVAL * approval)
        return PaymentQuote(0, await self._quote(permits.attach(make_call, permit)))

    async def _quote(self, make_call: MakeCall) -> int:
        return await self._quotes.quote_wei(await asyncio.to_thread(make_call))

    async def _quote_allowing(self, amount: TokenAmount, left: TokenAmount) -> tuple[int, int]:
        """What it costs to allow `amount` while `left` is allowed, and the part of it that is the approval alone."""
        if not left:
            approval = await self._quotes.quote_wei(self._market.prepare_approve(amount))
            return approval, approval
        revocation = await self._quotes.quote_wei(self._market.prepare_approve(TokenAmount(0)))
        approval = APPROVAL_PER_REVOCATION * revocation
        return revocation + approval, approval
