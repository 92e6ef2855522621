"""Pay tokens through the market: one transaction for a person who has them, two where token or signer cannot.

An allowance that is large enough is used. Else a permit of exactly the amount travels with the call (ERC-2612). A token
without permits, or a signer that signs no typed data, gets an approval first. Whoever uses up the permit in between
does no harm: the allowance is there then, and the contract goes on.

The permit is signed with the transaction and kept nowhere else: what is signed anew has a new one. Its number is read
from the chain, so a second payment waits until the first is in a block. `tests/integration/test_chain_payments.py`.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from viz_node.domain.ids import TokenAmount
from viz_node.errors import DeadlineError, RefusedError
from viz_node.ports import Call
from viz_node.services.trade import Trade

# Longer than a block takes to become final: what a reorganisation takes out is sent again as it is.
PERMIT_SECONDS = 3600
# An order takes 97 439 gas and an approval half (contracts/snapshots/Parts.json); a permit adds less than an approval.
CALL_PER_APPROVAL = 4
MakeCall = Callable[[], Call]
Permit = tuple[dict[str, Any], bytes]


@dataclass(frozen=True)
class PaymentQuote:
    """The most that the gas of a payment may cost; `approval_wei` is 0 if it takes one transaction."""

    approval_wei: int
    call_wei: int


class Payments:
    """Every way in which this account pays into the market."""

    def __init__(self, trade: Trade) -> None:
        self._trade = trade
        self._market, self._treasury, self._account = trade.market, trade.treasury, trade.keys.account

    async def execute(self, order_id: str, amount: TokenAmount, make_call: MakeCall, detail: dict[str, Any]) -> str:
        """Send the call, which takes `amount` out of the allowance, once, and wait for it; its hash.

        Raises: as `Treasury.execute`; DeadlineError when an earlier payment is in no block yet.
        """
        done = await self._treasury.finish(order_id)
        if done is not None:
            return done.tx_hash
        permit = None
        if await asyncio.to_thread(self._market.allowance, self._account) < amount:
            self._require_settled()
            permit = await asyncio.to_thread(self._sign_permit, amount)
            if permit is None:
                await self._approve(amount, detail)
        if permit is None:
            return await self._treasury.execute(order_id, make_call, detail)
        return await self._treasury.execute(order_id, self._with_permit(make_call, permit), detail | {"permit": True})

    async def quote(self, amount: TokenAmount, make_call: MakeCall) -> PaymentQuote:
        """What `execute` would cost in gas; nothing is sent, and nobody is asked for a signature.

        A key of this process signs a permit to simulate with. The endpoint sees it, and gains nothing by using it.

        Raises: TransactionRevertedError, InsufficientFundsError, ChainUnavailableError.
        """
        market, treasury = self._market, self._treasury
        if await asyncio.to_thread(market.allowance, self._account) >= amount:
            return PaymentQuote(0, await treasury.quote_wei(await asyncio.to_thread(make_call)))
        approval = await treasury.quote_wei(market.prepare_approve(amount))
        if not treasury.asks_nobody:
            is_one = await asyncio.to_thread(self._permit_to_sign, amount) is not None
            return PaymentQuote(0 if is_one else approval, CALL_PER_APPROVAL * approval)
        permit = await asyncio.to_thread(self._sign_permit, amount)
        if permit is None:
            return PaymentQuote(approval, CALL_PER_APPROVAL * approval)
        return PaymentQuote(0, await treasury.quote_wei(await asyncio.to_thread(self._with_permit(make_call, permit))))

    def _with_permit(self, make_call: MakeCall, permit: Permit) -> MakeCall:
        return lambda: self._market.prepare_with_permit(make_call(), *permit)

    def _permit_to_sign(self, amount: TokenAmount) -> dict[str, Any] | None:
        deadline = self._market.block_time() + PERMIT_SECONDS
        return self._market.permit_to_sign(self._account, amount, deadline)

    def _sign_permit(self, amount: TokenAmount) -> Permit | None:
        """A permit that the token takes; None if there is none to be had."""
        permit = self._permit_to_sign(amount)
        if permit is None:
            return None
        try:
            signature = self._treasury.sign_typed_data(permit)
        except RefusedError:  # a signer that knows no typed data, or whose rules allow none
            return None
        return (permit, signature) if self._market.takes_permit(permit, signature) else None

    async def _approve(self, amount: TokenAmount, detail: dict[str, Any]) -> None:
        # Nothing to repeat after a crash: what was signed settles first, and to approve twice does no harm.
        market, order_id = self._market, f"approve:{detail.get('job')}:{secrets.token_hex(4)}"
        await self._treasury.execute(order_id, lambda: market.prepare_approve(amount), detail | {"kind": "approve"})

    def _require_settled(self) -> None:
        """Two permits in no block yet would have the same number, and the second payment would be refused."""
        for entry in self._trade.store.pending_outbox():
            if entry.detail.get("permit") and not entry.block_hash:
                raise DeadlineError(
                    f"transaction {entry.tx_hash} of an earlier payment is in no block yet", "try again when it is"
                )
