"""Pay tokens through the market: one transaction for a person who has them, two where token or signer cannot.

An allowance that is large enough is used. Else a permit of exactly the amount travels with the call (ERC-2612). A token
without permits, or a signer that signs no typed data, gets an approval first. Whoever uses up the permit in between
does no harm: the allowance is there then, and the contract goes on. An allowance that is left over and too small is
taken back before a larger one is given: some tokens (USDT) change an allowance only from or to zero.

The permit is signed with the transaction and kept nowhere else: what is signed anew has a new one. Its number is read
from the chain, so a second payment waits until the first is in a block. `tests/integration/test_chain_payments.py`.
"""

import asyncio
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

from viz_node.domain.ids import TokenAmount
from viz_node.domain.records import OutboxEntry
from viz_node.domain.transaction import Call
from viz_node.errors import DeadlineError, RefusedError
from viz_node.services.market.trade import Trade

# Longer than a block takes to become final: what a reorganisation takes out is sent again as it is.
PERMIT_SECONDS = 3600
# An order takes 97 439 gas and an approval half (contracts/snapshots/Parts.json); a permit adds less than an approval.
CALL_PER_APPROVAL = 4
# Taking back costs 26 000 gas or more, and giving at most 50 000.
APPROVAL_PER_REVOCATION = 2
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
                await self._allow(amount, detail)
        if permit is None:
            return await self._treasury.execute(order_id, make_call, detail)
        return await self._treasury.execute(order_id, self._with_permit(make_call, permit), detail | {"permit": True})

    async def quote(self, amount: TokenAmount, make_call: MakeCall) -> PaymentQuote:
        """What `execute` would cost in gas; nothing is sent, and nobody is asked for a signature.

        A key of this process signs a permit to simulate with. The endpoint sees it, and gains nothing by using it.

        Raises: TransactionRevertedError, InsufficientFundsError, ChainUnavailableError.
        """
        market, treasury = self._market, self._treasury
        left = await asyncio.to_thread(market.allowance, self._account)
        if left >= amount:
            return PaymentQuote(0, await treasury.quote_wei(await asyncio.to_thread(make_call)))
        if not treasury.asks_nobody:
            is_one = await asyncio.to_thread(self._permit_to_sign, amount) is not None
            allowing, approval = await self._quote_allowing(amount, left)
            return PaymentQuote(0 if is_one else allowing, CALL_PER_APPROVAL * approval)
        permit = await asyncio.to_thread(self._sign_permit, amount)
        if permit is None:
            allowing, approval = await self._quote_allowing(amount, left)
            return PaymentQuote(allowing, CALL_PER_APPROVAL * approval)
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

    async def _quote_allowing(self, amount: TokenAmount, left: TokenAmount) -> tuple[int, int]:
        """What it costs to allow `amount` while `left` is allowed, and the part of it that is the approval alone."""
        if not left:
            approval = await self._treasury.quote_wei(self._market.prepare_approve(amount))
            return approval, approval
        revocation = await self._treasury.quote_wei(self._market.prepare_approve(TokenAmount(0)))
        approval = APPROVAL_PER_REVOCATION * revocation
        return revocation + approval, approval

    async def _allow(self, amount: TokenAmount, detail: dict[str, Any]) -> None:
        """Let the market take `amount`. It can be repeated after a crash: each step looks at the chain first."""
        store, market = self._trade.store, self._market
        for order_id in dict.fromkeys(
            entry.order_id for entry in store.pending_outbox() if _is_unmined_approval(entry)
        ):
            await self._treasury.finish(order_id)
        left = await asyncio.to_thread(market.allowance, self._account)
        if left >= amount:
            return
        if left:
            await self._approve(TokenAmount(0), detail)
        await self._approve(amount, detail)

    async def _approve(self, amount: TokenAmount, detail: dict[str, Any]) -> None:
        order_id = f"approve:{detail.get('job')}:{secrets.token_hex(4)}"
        make_call = partial(self._market.prepare_approve, amount)
        await self._treasury.execute(order_id, make_call, detail | {"kind": "approve"})

    def _require_settled(self) -> None:
        """Two permits in no block yet would have the same number, and the second payment would be refused."""
        for entry in self._trade.store.pending_outbox():
            if entry.detail.get("permit") and not entry.block_hash:
                raise DeadlineError(
                    f"transaction {entry.tx_hash} of an earlier payment is in no block yet", "try again when it is"
                )


def _is_unmined_approval(entry: OutboxEntry) -> bool:
    return entry.kind == "approve" and not entry.block_hash
