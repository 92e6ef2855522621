"""What the market may take from this account's tokens, and taking that back."""

import asyncio
from dataclasses import dataclass

from viz_node.domain.answer import UNSET, UnsetType
from viz_node.domain.ids import Account, TokenAmount, format_amount, format_coin
from viz_node.domain.job import Job, JobStep
from viz_node.domain.orders import RevokeOrder
from viz_node.domain.plan import PlanStep
from viz_node.domain.purposes import Purpose
from viz_node.ports.money import Allowing, Quotes, Spending
from viz_node.services.part import Report

# Wallets allow 2^256 - 1 where they mean everything, and some tokens count no payment against it.
UNLIMITED = 1 << 255
NOTHING = TokenAmount(0)


@dataclass(frozen=True)
class ShownAllowance:
    """How many tokens a market may take from an account, as text."""

    account: Account
    allowance: str
    market: str | UnsetType = UNSET


@dataclass(frozen=True)
class RevokedAllowance:
    """What is allowed now, and the transaction: empty if nothing was allowed before."""

    allowance: str
    tx_hash: str


class Allowances:
    """The account's allowance to the market; purchases make one where the token takes no permit."""

    def __init__(self, market: Allowing, treasury: Spending, account: Account) -> None:
        self._market = market
        self._treasury = treasury
        self._account = account

    async def show(self) -> ShownAllowance:
        """The account, and how many tokens the market may take from it. Raises: ChainUnavailableError."""
        return ShownAllowance(self._account, _shown(await _left(self._market, self._account)))

    async def revoke(self, job: Job[RevokeOrder], report: Report) -> RevokedAllowance:
        """Job: take it back, once; `tx_hash` is empty if there was none."""
        order_id, market = f"revoke:{job.job_id}", self._market
        report(JobStep("revoke", 1, 1))
        if await self._treasury.finish(order_id) is None and not await _left(self._market, self._account):
            return RevokedAllowance(_shown(NOTHING), "")
        purpose = Purpose("approve", job.job_id)
        tx_hash = await self._treasury.execute(order_id, lambda: market.prepare_approve(NOTHING), purpose)
        return RevokedAllowance(_shown(await _left(self._market, self._account)), tx_hash)


class AllowancePlans:
    """What taking the allowance back would mean."""

    def __init__(self, market: Allowing, quotes: Quotes, account: Account) -> None:
        self._market = market
        self._quotes = quotes
        self._account = account

    async def revocation(self) -> list[PlanStep]:
        """What taking it back costs and means; nothing if there is none.

        Raises: TransactionRevertedError, ChainUnavailableError.
        """
        left = await _left(self._market, self._account)
        if not left:
            return []
        gas = format_coin(await self._quotes.quote_wei(self._market.prepare_approve(NOTHING)))
        consequence = "the market takes nothing until the next payment allows it; what was paid stays paid"
        return [PlanStep(f"take back the allowance of {_shown(left)} tokens", "", gas, consequence)]


async def _left(market: Allowing, account: Account) -> TokenAmount:
    return await asyncio.to_thread(market.allowance, account)


def _shown(amount: TokenAmount) -> str:
    return "unlimited" if amount >= UNLIMITED else format_amount(amount)
