"""Channels of this account: what the node keeps of them, and what the chain says; sends nothing."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from viz_node.domain.answer import UNSET, UnsetType
from viz_node.domain.channel import Channel, PaidChannel
from viz_node.domain.decide_channel import AskedChannel, ChannelFacts, Opening, decide_channel
from viz_node.domain.decision import granted
from viz_node.domain.ids import Account, format_amount
from viz_node.domain.job import JobState
from viz_node.domain.terms import DAY_SECONDS
from viz_node.domain.usage import SignedReceipt
from viz_node.errors import NotFoundError
from viz_node.ports.keys import SessionSealing, VerifyBytes, VoucherSigning
from viz_node.ports.state import WithChannels, WithJobs
from viz_node.ports.uses import PaidUses
from viz_node.services.market.listings import Listing, Listings


@dataclass(frozen=True)
class ShownChannel:
    """A channel as people see it; amounts as text, `close_at` is the second from which the rest can be taken back.

    Only one that is shown alone has `kept`, the jobs whose answers wait for them, and `receipts`.
    """

    channel: int | None
    adapter_id: str
    price: str
    uses: int
    uses_left: int
    spent: str
    session: str
    days_left: int
    deposit: str
    close_at: int | None
    state: str
    adapter: str
    kept: list[str] | UnsetType = UNSET
    receipts: list[SignedReceipt] | UnsetType = UNSET


@dataclass(frozen=True)
class UseKeys:
    """What signs vouchers and keeps their keys, and what checks the owner's receipts."""

    sealing: SessionSealing
    vouchers: VoucherSigning
    verify: VerifyBytes


class PaidChannelState(WithChannels, WithJobs, Protocol):
    """What is kept of paid channels, and the jobs whose answers they hold."""


class PaidChannels:
    """The channels that this node pays for."""

    def __init__(self, store: PaidChannelState, market: PaidUses, listings: Listings, account: Account) -> None:
        self._store = store
        self._market = market
        self._listings = listings
        self._account = account

    async def decide_open(self, adapter: str, asked: AskedChannel) -> tuple[Listing, Opening]:
        """The listing for which a channel may be opened, and what that comes to.

        Raises: RefusedError, UsageError, NotFoundError.
        """
        listing = await self._listings.listing(adapter)
        window = (await asyncio.to_thread(self._market.facts)).close_window_seconds
        facts = ChannelFacts(listing.manifest.name, listing.offer, window)
        return listing, granted(decide_channel(facts, asked))

    async def channels(self) -> list[PaidChannel]:
        """All channels of this account, the oldest first; those of which the node knows nothing come last."""
        market = self._market
        opened: Sequence[Channel] = await asyncio.to_thread(market.channels_of, self._account)
        ends_from = await asyncio.to_thread(market.block_time)
        ends_from += (await asyncio.to_thread(market.facts)).close_window_seconds
        by_session = {channel.session_account: channel for channel in opened}
        found = []
        # From here on nothing waits, so that no use in progress is written over.
        for key, kept in self._store.channels.list_paid().items():
            record, channel = kept, by_session.pop(kept.session, None)
            if channel is not None and kept.number != channel.number:
                # A voucher names the number: those from before a reorganisation that changed it are worth nothing.
                record = replace(kept, number=channel.number, uses=0, tree=(), asked={})
                self._store.channels.save_paid(key, record)
            found.append(PaidChannel(key, record, channel, channel.close_at - ends_from if channel else 0))
        return found + [PaidChannel("", None, item, item.close_at - ends_from) for item in by_session.values()]

    async def find(self, number: int) -> PaidChannel:
        """The channel with this number. Raises: NotFoundError."""
        for paid in await self.channels():
            if paid.number == number:
                return paid
        raise NotFoundError(f"this account has no channel {number}", "viz-node channel list")

    async def rows(self) -> list[ShownChannel]:
        """The channels of this account, as people see them."""
        names = self._listings.names()
        return [_shown(paid, names) for paid in await self.channels()]

    def name_of(self, paid: PaidChannel) -> str:
        """The name of the adapter that the channel pays for, as far as this node knows it."""
        return _name_of(paid, self._listings.names())

    async def show(self, number: int) -> ShownChannel:
        """One channel with its receipts; `kept` are jobs whose answers wait for them. Raises: NotFoundError."""
        paid = await self.find(number)
        kept = sorted(self.unfinished(paid.record.kept)) if paid.record else []
        receipts = self._store.channels.receipts_of(paid.key)
        return replace(_shown(paid, self._listings.names()), kept=kept, receipts=receipts)

    async def over(self) -> list[int]:
        """The numbers of those whose rest can be taken back. Raises: ChainUnavailableError."""
        now = await asyncio.to_thread(self._market.block_time)
        opened = [paid.channel for paid in await self.channels() if paid.channel is not None]
        return [channel.number for channel in opened if now >= channel.close_at]

    def unfinished(self, kept: Mapping[str, str]) -> dict[str, str]:
        """Without the answers that their jobs have taken."""
        done = {job.job_id for job in self._store.jobs.list_jobs() if job.state is JobState.DONE} if kept else set()
        return {job_id: answer for job_id, answer in kept.items() if job_id not in done}


def _name_of(paid: PaidChannel, names: Mapping[str, str]) -> str:
    adapter_id = paid.record.adapter_id if paid.record else ""
    return names.get(adapter_id, adapter_id[:12])


def _shown(paid: PaidChannel, names: Mapping[str, str]) -> ShownChannel:
    record, channel = paid.record, paid.channel
    session = record.session if record else channel.session_account if channel else ""
    return ShownChannel(
        channel=paid.number,
        adapter_id=record.adapter_id if record else "",
        price=format_amount(paid.price),
        uses=paid.uses,
        uses_left=paid.uses_left,
        spent=format_amount(paid.uses * paid.price),
        session=session,
        days_left=max(0, paid.seconds_left) // DAY_SECONDS,
        deposit=format_amount(channel.deposit if channel else 0),
        close_at=channel.close_at if channel else None,
        state=paid.state,
        adapter=_name_of(paid, names),
    )
