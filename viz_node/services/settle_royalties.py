"""What this account earns: read from the chain, claimed through the outbox."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from viz_node.domain.ids import Account, format_amount
from viz_node.domain.job import Job
from viz_node.domain.royalty import split_recipient
from viz_node.domain.statement import StatementLine, statement
from viz_node.errors import TransactionRevertedError
from viz_node.ports import MarketGateway
from viz_node.services.jobs import Report
from viz_node.services.transact import Treasury


class Royalties:
    """The recipient's side of every sale."""

    def __init__(self, market: MarketGateway, treasury: Treasury, account: Account) -> None:
        self._market = market
        self._treasury = treasury
        self._account = account

    async def show(self) -> dict[str, Any]:
        """What is owed and what was sold, in tokens. Raises: ChainUnavailableError."""
        rows = await asyncio.to_thread(self._market.royalties_of, self._account)
        splits = {row.split_id for row in rows}
        sales = [sale for sale in await asyncio.to_thread(self._market.sales) if sale.split_id in splits]
        return {
            "account": self._account,
            "due": format_amount(sum(row.due for row in rows)),
            "rows": [
                {
                    "split_id": row.split_id,
                    "share": f"{row.share / 100:.2f}",
                    "accrued": format_amount(row.accrued),
                    "claimed": format_amount(row.claimed),
                    "due": format_amount(row.due),
                }
                for row in rows
            ],
            "sales": [
                {
                    "adapter": sale.adapter_number,
                    "holder": sale.holder,
                    "price": format_amount(sale.price),
                    "block": sale.block,
                    "tx_hash": sale.tx_hash,
                }
                for sale in sales
            ],
        }

    async def statement(self, period: tuple[int, int] | None) -> list[dict[str, Any]]:
        """One line per sale, use or claim of the period, by ledger entry. Raises: ChainUnavailableError."""
        shares = {row.split_id: row.share for row in await asyncio.to_thread(self._market.royalties_of, self._account)}
        movements = await asyncio.to_thread(self._market.movements, self._account, list(shares))
        first, end = period or (0, 2**63)
        return [_line(line) for line in statement(movements, shares) if first <= line.movement.time < end]

    async def claim(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: claim everything that is due; a split that was claimed before the crash has nothing left to claim."""
        for step, (split_id, recipient) in enumerate(await self._owed_by_derived(), 1):
            report({"phase": "pass on", "step": step, "steps": step})
            await self._claim_one(split_id, recipient, job)
        rows, hashes = await self._due_rows(), []
        for step, row in enumerate(rows, 1):
            report({"phase": "claim", "step": step, "steps": len(rows)})
            hashes += await self._claim_one(row.split_id, self._account, job)
        return {"claimed": format_amount(sum(row.due for row in rows)), "tx_hashes": hashes}

    async def _claim_one(self, split_id: int, recipient: Account, job: Job) -> list[str]:
        rows = await asyncio.to_thread(self._market.royalties_of, recipient)
        row = next(row for row in rows if row.split_id == split_id)
        try:
            tx_hash = await self._treasury.execute(
                f"claim:{split_id}:{recipient}:{row.claimed}",
                lambda: self._market.prepare_claim(split_id, recipient),
                {"kind": "claim", "split_id": split_id, "due": row.due, "job": job.job_id},
            )
        except TransactionRevertedError:
            # Anyone may claim for this account: then the money is here already.
            rows = await asyncio.to_thread(self._market.royalties_of, recipient)
            if any(left.split_id == split_id and left.due > 0 for left in rows):
                raise
            return []
        return [tx_hash]

    async def _owed_by_derived(self) -> list[tuple[int, Account]]:
        """What splits of derived adapters owe to the splits of this account: each split, and its recipient."""
        found = []
        for own in await asyncio.to_thread(self._market.royalties_of, self._account):
            recipient = split_recipient(own.split_id)
            rows = await asyncio.to_thread(self._market.royalties_of, recipient)
            found += [(row.split_id, recipient) for row in rows if row.due > 0]
        return found

    async def _due_rows(self) -> list[Any]:
        return [row for row in await asyncio.to_thread(self._market.royalties_of, self._account) if row.due > 0]


def _line(line: StatementLine) -> dict[str, Any]:
    item = line.movement
    return {
        "entry": item.sequence,
        "time": datetime.fromtimestamp(item.time, UTC).isoformat(),
        "what": item.what,
        "split": item.split_id,
        "paid": format_amount(item.amount),
        "share": f"{line.share / 100:.2f}",
        "earned": format_amount(line.earned),
        "taken": format_amount(line.taken),
        "tx_hash": item.tx_hash,
    }
