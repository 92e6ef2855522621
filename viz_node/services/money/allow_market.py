"""What the market may take from this account's tokens, and taking that back."""

import asyncio
from typing import Any

from viz_node.domain.ids import TokenAmount, format_amount, format_coin
from viz_node.domain.job import Job
from viz_node.services.market.trade import Trade
from viz_node.services.part import Report

# Wallets allow 2^256 - 1 where they mean everything, and some tokens count no payment against it.
UNLIMITED = 1 << 255
NOTHING = TokenAmount(0)


class Allowances:
    """The account's allowance to the market; purchases make one where the token takes no permit."""

    def __init__(self, trade: Trade) -> None:
        self._trade = trade
        self._market, self._account = trade.market, trade.keys.account

    async def show(self) -> dict[str, Any]:
        """The account, and how many tokens the market may take from it. Raises: ChainUnavailableError."""
        return {"account": self._account, "allowance": _shown(await self._left())}

    async def plan_revocation(self) -> list[dict[str, Any]]:
        """What taking it back costs and means; nothing if there is none. Raises: as `Treasury.quote_wei`."""
        left = await self._left()
        if not left:
            return []
        gas = format_coin(await self._trade.treasury.quote_wei(self._market.prepare_approve(NOTHING)))
        return [
            {
                "what": f"take back the allowance of {_shown(left)} tokens",
                "amount": "",
                "gas": gas,
                "consequence": "the market takes nothing until the next payment allows it; what was paid stays paid",
            }
        ]

    async def revoke(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: take it back, once; `tx_hash` is empty if there was none."""
        order_id, market = f"revoke:{job.job_id}", self._market
        report({"phase": "revoke", "step": 1, "steps": 1})
        if await self._trade.treasury.finish(order_id) is None and not await self._left():
            return {"allowance": _shown(NOTHING), "tx_hash": ""}
        detail = {"kind": "approve", "job": job.job_id}
        tx_hash = await self._trade.treasury.execute(order_id, lambda: market.prepare_approve(NOTHING), detail)
        return {"allowance": _shown(await self._left()), "tx_hash": tx_hash}

    async def _left(self) -> TokenAmount:
        return await asyncio.to_thread(self._market.allowance, self._account)


def _shown(amount: TokenAmount) -> str:
    return "unlimited" if amount >= UNLIMITED else format_amount(amount)
