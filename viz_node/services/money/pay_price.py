"""Pay tokens through the market: one transaction for a person who has them, two where token or signer cannot.

An allowance that is large enough is used. Else a permit of exactly the amount travels with the call (ERC-2612). A token
without permits, or a signer that signs no typed data, gets an approval first. If someone else spends the permit in
between, no harm is done: the allowance is there then, and the contract goes on. An allowance that is left over and too
small is taken back before a larger one is given: some tokens (USDT) change an allowance only from or to zero.

The permit is signed with the transaction and kept nowhere else: what is signed anew has a new one. Its number is read
from the chain, so a second payment waits until the first is in a block. `tests/integration/test_chain_payments.py`.
"""

import asyncio
import secrets
from dataclasses import replace
from functools import partial

from viz_node.domain.ids import Account, TokenAmount
from viz_node.domain.purposes import Purpose
from viz_node.domain.records import OutboxEntry
from viz_node.errors import DeadlineError
from viz_node.ports.money import Allowing, Spending
from viz_node.ports.state import Outbox
from viz_node.services.money.sign_permit import MakeCall, Permits


class Payments:
    """Every way in which this account pays into the market."""

    def __init__(
        self, outbox: Outbox, market: Allowing, treasury: Spending, permits: Permits, account: Account
    ) -> None:
        self._outbox = outbox
        self._market = market
        self._treasury = treasury
        self._permits = permits
        self._account = account

    async def execute(self, order_id: str, amount: TokenAmount, make_call: MakeCall, purpose: Purpose) -> str:
        """Send the call, which takes `amount` out of the allowance, once, and wait for it; its hash.

        Raises: TransactionRevertedError, InsufficientFundsError, ChainUnavailableError, DeadlineError (the state is
        unknown, or an earlier payment is in no block yet).
        """
        done = await self._treasury.finish(order_id)
        if done is not None:
            return done.tx_hash
        permit = None
        if await asyncio.to_thread(self._market.allowance, self._account) < amount:
            self._require_settled()
            permit = await asyncio.to_thread(self._permits.sign, amount)
            if permit is None:
                await self._allow(amount, purpose.job)
        if permit is None:
            return await self._treasury.execute(order_id, make_call, purpose)
        with_permit = self._permits.attach(make_call, permit)
        return await self._treasury.execute(order_id, with_permit, replace(purpose, permit=True))

    async def finish(self, order_id: str) -> OutboxEntry | None:
        """As `Treasury.finish`."""
        return await self._treasury.finish(order_id)

    async def _allow(self, amount: TokenAmount, job: str) -> None:
        """Let the market take `amount`. It can be repeated after a crash: each step looks at the chain first."""
        outbox, market = self._outbox, self._market
        for order_id in dict.fromkeys(
            entry.order_id for entry in outbox.pending_outbox() if _is_unmined_approval(entry)
        ):
            await self._treasury.finish(order_id)
        left = await asyncio.to_thread(market.allowance, self._account)
        if left >= amount:
            return
        if left:
            await self._approve(TokenAmount(0), job)
        await self._approve(amount, job)

    async def _approve(self, amount: TokenAmount, job: str) -> None:
        order_id = f"approve:{job}:{secrets.token_hex(4)}"
        make_call = partial(self._market.prepare_approve, amount)
        await self._treasury.execute(order_id, make_call, Purpose("approve", job))

    def _require_settled(self) -> None:
        """Two permits in no block yet would have the same number, and the second payment would be refused."""
        for entry in self._outbox.pending_outbox():
            if entry.purpose.permit and not entry.block_hash:
                raise DeadlineError(
                    f"transaction {entry.tx_hash} of an earlier payment is in no block yet", "try again when it is"
                )


def _is_unmined_approval(entry: OutboxEntry) -> bool:
    return entry.kind == "approve" and not entry.block_hash
