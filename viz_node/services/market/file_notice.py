"""Complaints about adapters and their owners' answers: the digest of a text on record, the text with its author."""

import asyncio
from typing import Any

from viz_node.domain.ids import format_coin, is_hex_digest
from viz_node.domain.job import Job
from viz_node.errors import UsageError
from viz_node.services.market.trade import Trade
from viz_node.services.part import Report


class Notices:
    """What this account puts on record."""

    def __init__(self, trade: Trade) -> None:
        self._trade = trade

    async def show(self, adapter: str) -> list[dict[str, Any]]:
        """Complaints and answers, oldest first. Raises: as `Catalogue.listing`."""
        listing = await self._trade.catalogue.listing(adapter)
        rows = await asyncio.to_thread(self._trade.market.notices_of, listing.adapter_number)
        return [
            {"notice": row.number, "answers": row.answers or None, "sender": row.sender, "digest": row.digest.hex()}
            for row in rows
        ]

    async def check(self, adapter: str, digest: str, answers: int | None) -> dict[str, Any]:
        """The order for a notice, or for the owner's answer to one. Raises: UsageError, as `Catalogue.listing`."""
        if not is_hex_digest(digest):
            raise UsageError("the digest of a notice is the SHA-256 of its text, 64 hex digits")
        listing = await self._trade.catalogue.listing(adapter)
        return {"adapter": adapter, "number": listing.adapter_number, "digest": digest, "answers": answers}

    async def plan(self, adapter: str, digest: str, answers: int | None) -> list[dict[str, Any]]:
        """What it costs and means. Raises: as `check`, TransactionRevertedError."""
        call = self._call(await self.check(adapter, digest, answers))
        gas = format_coin(await self._trade.quotes.quote_wei(call))
        consequence = "this account and the text's digest are on record permanently; licenses stay"
        return [{"what": call.description, "amount": "", "gas": gas, "consequence": consequence}]

    async def file(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: put it on record, once."""
        report({"phase": "notice", "step": 1, "steps": 1})
        detail = {"kind": "notice", "adapter": job.order["adapter"], "job": job.job_id}
        order_id = f"notice:{job.job_id}"
        tx_hash = await self._trade.treasury.execute(order_id, lambda: self._call(job.order), detail)
        return {"tx_hash": tx_hash, "digest": job.order["digest"]}

    def _call(self, order: dict[str, Any]) -> Any:
        digest, answers = bytes.fromhex(order["digest"]), order["answers"]
        if answers is not None:
            return self._trade.market.prepare_counter_notice(answers, digest)
        return self._trade.market.prepare_notice(order["number"], digest)
