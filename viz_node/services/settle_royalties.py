"""What this account earns: read from the chain, claimed through the outbox."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from viz_node.domain.ids import WHOLE, Account, format_amount, format_coin
from viz_node.domain.job import Job
from viz_node.domain.records import OutboxEntry
from viz_node.domain.royalty import split_recipient
from viz_node.domain.statement import StatementLine, statement
from viz_node.errors import TransactionRevertedError
from viz_node.ports import Call, MarketGateway
from viz_node.services.jobs import Report
from viz_node.services.join_pool import PoolMembers
from viz_node.services.transact import Treasury

# About sixty thousand gas each: a full transaction fits several times into any chain's block.
MOST_CLAIMS = 50


class Royalties:
    """The recipient's side of every sale."""

    def __init__(self, market: MarketGateway, treasury: Treasury, account: Account, pools: PoolMembers) -> None:
        self._market = market
        self._pools = pools
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
            "in_escrow": format_amount(await self._in_escrow({row.split_id: row.share for row in rows})),
            "in_pools": format_amount(await self._pools.owed()),
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

    async def _in_escrow(self, shares: Mapping[int, int]) -> int:
        """This account's part of what buyers have paid for keys that are not beyond dispute yet."""
        offers = await asyncio.to_thread(self._market.offers_into, set(shares))
        orders = await asyncio.to_thread(self._market.orders_for, offers)
        return sum(order.terms.price * shares[order.terms.split_id] // WHOLE for order in orders)

    async def statement(self, period: tuple[int, int] | None) -> list[dict[str, Any]]:
        """One line per sale, use or claim of the period, by ledger entry. Raises: ChainUnavailableError."""
        shares = {row.split_id: row.share for row in await asyncio.to_thread(self._market.royalties_of, self._account)}
        movements = await asyncio.to_thread(self._market.movements, self._account, list(shares))
        first, end = period or (0, 2**63)
        return [_line(line) for line in statement(movements, shares) if first <= line.movement.time < end]

    async def claim(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: claim everything that is due, in as few transactions as it takes; whoever else claims does no harm.

        What pools give to own splits is credited first.
        """
        credits = await self._pools.collect(job, report)
        done: list[OutboxEntry] = []
        while (entry := await self._claim_next(f"claim:{job.job_id}:{len(done)}", job)) is not None:
            done.append(entry)
            report({"phase": "claim", "step": len(done), "steps": len(done)})
        claimed = sum(int(entry.detail["due"]) for entry in done)
        return {"claimed": format_amount(claimed), "tx_hashes": [*credits, *(entry.tx_hash for entry in done)]}

    async def plan_claim(self) -> list[dict[str, Any]]:
        """What each split brings and would cost if it were claimed alone, and what all of it costs together.

        Raises: ChainUnavailableError.
        """
        groups = await self._groups()
        rows = [_plan_row(group, await self._quote_wei(group)) for group in groups]
        dues = [due for group in groups for due in group]
        if len(rows) > 1:
            parts = [dues[start : start + MOST_CLAIMS] for start in range(0, len(dues), MOST_CLAIMS)]
            rows.append(
                {
                    "what": f"all of it, in {len(parts)} transaction(s)",
                    "amount": f"+{format_amount(_brought(dues))}",
                    "gas": format_coin(sum([await self._quote_wei(part) for part in parts])),
                    "consequence": f"comes to {self._account}; the rows above say what each would cost alone",
                }
            )
        return await self._pools.plan() + rows

    async def _quote_wei(self, dues: Sequence["_Due"]) -> int:
        return await self._treasury.quote_wei(await asyncio.to_thread(self._call, dues))

    async def _claim_next(self, order_id: str, job: Job) -> OutboxEntry | None:
        """Claim what one transaction can; None if nothing is due."""
        try:
            entry = await self._treasury.finish(order_id)
            if entry is not None:
                return entry
            dues = (await self._dues())[:MOST_CLAIMS]
            if not dues:
                return None
            splits = [due.split_id for due in dues]
            detail = {"kind": "claim", "splits": splits, "due": _brought(dues), "job": job.job_id}
            await self._treasury.execute(order_id, lambda: self._call(dues), detail)
            return await self._treasury.finish(order_id)
        except TransactionRevertedError:
            if await self._dues():
                raise
            return None  # anyone may claim for this account: then the money is here already

    def _call(self, dues: Sequence["_Due"]) -> Call:
        if len(dues) == 1:
            return self._market.prepare_claim(dues[0].split_id, dues[0].recipient)
        return self._market.prepare_claim_many([(due.split_id, due.recipient) for due in dues])

    async def _dues(self) -> list["_Due"]:
        return [due for group in await self._groups() for due in group]

    async def _groups(self) -> list[list["_Due"]]:
        """For each split of this account: what derived adapters owe to it, and then what it owes to the account."""
        groups = []
        for row in await asyncio.to_thread(self._market.royalties_of, self._account):
            recipient = split_recipient(row.split_id)
            derived = [item for item in await asyncio.to_thread(self._market.royalties_of, recipient) if item.due]
            accrued = row.accrued + sum(item.due for item in derived)
            own = _Due(row.split_id, self._account, accrued * row.share // WHOLE - row.claimed)
            passed = [_Due(item.split_id, recipient, item.due, is_passed_on=True) for item in derived]
            groups.append(passed + [own] * (own.amount > 0))
        return [group for group in groups if group]


@dataclass(frozen=True)
class _Due:
    """What one split owes to a recipient, which is another split if it is passed on."""

    split_id: int
    recipient: Account
    amount: int
    is_passed_on: bool = False


def _brought(dues: Sequence[_Due]) -> int:
    """What comes to the account itself."""
    return sum(due.amount for due in dues if not due.is_passed_on)


def _plan_row(group: Sequence[_Due], wei: int) -> dict[str, Any]:
    last, sources = group[-1], [str(due.split_id) for due in group if due.is_passed_on]
    split_id = int(last.recipient, 16) if last.is_passed_on else last.split_id
    consequence = "your part of what was paid into it"
    if sources:
        consequence += f", and of what split {', '.join(sources)} of a derived adapter passes on"
    row = {"what": f"claim from split {split_id}", "amount": f"+{format_amount(_brought(group))}"}
    return row | {"gas": format_coin(wei), "consequence": consequence}


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
