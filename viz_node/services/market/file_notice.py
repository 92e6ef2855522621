"""Complaints about adapters and their owners' answers: the digest of a text on record, the text with its author."""

import asyncio
from dataclasses import dataclass

from viz_node.domain.ids import Account, format_coin, is_hex_digest
from viz_node.domain.job import Job, JobStep
from viz_node.domain.orders import NoticeOrder
from viz_node.domain.plan import PlanStep
from viz_node.domain.purposes import Purpose
from viz_node.domain.transaction import Call
from viz_node.errors import NotFoundError, RefusedError, UsageError
from viz_node.ports.market import NoticeBoard
from viz_node.ports.money import Quotes, Spending
from viz_node.services.market.listings import Listing, Listings
from viz_node.services.part import Report


@dataclass(frozen=True)
class ShownNotice:
    """A complaint, or the owner's answer to the one with the number `answers`; the digest of its text, in hex."""

    notice: int
    answers: int | None
    sender: Account
    digest: str


@dataclass(frozen=True)
class FiledNotice:
    """The transaction that put the digest on record."""

    tx_hash: str
    digest: str


class Notices:
    """What this account puts on record."""

    def __init__(self, market: NoticeBoard, treasury: Spending, listings: Listings) -> None:
        self._market = market
        self._treasury = treasury
        self._listings = listings

    async def show(self, adapter: str) -> list[ShownNotice]:
        """Complaints and answers, oldest first.

        Raises: NotFoundError, UnreachableError, VerificationError, ChainUnavailableError.
        """
        listing = await self._listings.listing(adapter)
        rows = await asyncio.to_thread(self._market.notices_of, listing.adapter_number)
        return [ShownNotice(row.number, row.answers or None, row.sender, row.digest.hex()) for row in rows]

    async def file(self, job: Job[NoticeOrder], report: Report) -> FiledNotice:
        """Job: put it on record, once."""
        report(JobStep("notice", 1, 1))
        order_id, purpose = f"notice:{job.job_id}", Purpose("notice", job.job_id)
        tx_hash = await self._treasury.execute(order_id, lambda: _call(self._market, job.order), purpose)
        return FiledNotice(tx_hash, job.order.digest)


class NoticePlans:
    """Orders for notices, and what they cost and mean."""

    def __init__(self, market: NoticeBoard, quotes: Quotes, listings: Listings, account: Account) -> None:
        self._market = market
        self._quotes = quotes
        self._listings = listings
        self._account = account

    async def check(self, adapter: str, digest: str, answers: int | None) -> NoticeOrder:
        """The order for a notice, or for the owner's answer to one.

        Raises: UsageError, NotFoundError (no such notice), RefusedError (not the owner), UnreachableError,
        VerificationError, ChainUnavailableError.
        """
        if not is_hex_digest(digest):
            raise UsageError("the digest of a notice is the SHA-256 of its text, 64 hex digits")
        listing = await self._listings.listing(adapter)
        if answers is not None:
            await self._check_answer(listing, answers)
        return NoticeOrder(adapter, listing.adapter_number, digest, answers)

    async def _check_answer(self, listing: Listing, number: int) -> None:
        rows = await asyncio.to_thread(self._market.notices_of, listing.adapter_number)
        name = listing.manifest.name
        if not any(row.number == number and not row.answers for row in rows):
            raise NotFoundError(f"there is no notice {number} about {name}", f"viz-node notice show {name}")
        if listing.manifest.account != self._account:
            raise RefusedError(
                f"only the owner of {name}, {listing.manifest.account}, may answer a notice about it",
                f"viz-node notice file {name} TEXT puts a complaint of your own on record",
            )

    async def plan(self, adapter: str, digest: str, answers: int | None) -> list[PlanStep]:
        """What it costs and means. Raises: TransactionRevertedError, and the errors of `check`."""
        call = _call(self._market, await self.check(adapter, digest, answers))
        gas = format_coin(await self._quotes.quote_wei(call))
        consequence = "this account and the text's digest are on record permanently; licenses stay"
        return [PlanStep(call.description, "", gas, consequence)]


def _call(market: NoticeBoard, order: NoticeOrder) -> Call:
    digest = bytes.fromhex(order.digest)
    if order.answers is not None:
        return market.prepare_counter_notice(order.answers, digest)
    return market.prepare_notice(order.number, digest)
