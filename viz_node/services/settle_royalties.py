"""What this account earns: read from the chain, claimed through the outbox."""

import asyncio
from datetime import UTC, datetime
from typing import Any

from viz_node.domain.ids import Account, format_amount
from viz_node.domain.job import Job
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
        rows, hashes = await self._due_rows(), []
        for step, row in enumerate(rows, 1):
            report({"phase": "claim", "step": step, "steps": len(rows)})
            try:
                tx_hash = await self._treasury.execute(
                    f"claim:{row.split_id}:{row.claimed}",
                    lambda row=row: self._market.prepare_claim(row.split_id, self._account),  # type: ignore[misc]
                    {"kind": "claim", "split_id": row.split_id, "due": row.due, "job": job.job_id},
                )
                hashes.append(tx_hash)
            except TransactionRevertedError:
                # Anyone may claim for this account: then the money is here already.
                if row.split_id in {left.split_id for left in await self._due_rows()}:
                    raise
        return {"claimed": format_amount(sum(row.due for row in rows)), "tx_hashes": hashes}

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
