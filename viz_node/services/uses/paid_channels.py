"""Channels of this account: what the node keeps of them, and what the chain says; sends nothing."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from viz_node.domain.channel import Channel
from viz_node.domain.ids import Account, TokenAmount, format_amount, format_span, format_tokens
from viz_node.domain.job import JobState
from viz_node.domain.terms import DAY_SECONDS
from viz_node.errors import (
    NotFoundError,
    RefusedError,
    UsageError,
)
from viz_node.ports.keys import SessionSealing, VerifyBytes, VoucherSigning
from viz_node.ports.state import WithChannels, WithJobs
from viz_node.ports.uses import PaidUses
from viz_node.services.market.listings import Catalogue, Listing

PAID = "pay:"


@dataclass(frozen=True)
class PaidChannel:
    """A channel of this account: what the node keeps under `key`, and what the chain says; one of both may lack."""

    key: str
    body: dict[str, Any]
    channel: Channel | None
    seconds_left: int
    """Until it is not served any more."""

    @property
    def number(self) -> int | None:
        """Its number on the chain, once that is known."""
        return self.channel.number if self.channel else self.body.get("number")

    @property
    def uses_left(self) -> int:
        """How often the deposit still pays for a use."""
        if self.channel is None or not self.body or self.seconds_left <= 0:
            return 0
        return self.channel.deposit // self.channel.price - int(self.body["uses"])

    @property
    def rest(self) -> TokenAmount:
        """What the uses so far leave of the deposit."""
        if self.channel is None:
            return TokenAmount(0)
        uses = max(int(self.body.get("uses", 0)), self.channel.uses)
        return TokenAmount(self.channel.deposit - uses * self.channel.price)


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

    def __init__(self, store: PaidChannelState, market: PaidUses, catalogue: Catalogue, account: Account) -> None:
        self._store = store
        self._market = market
        self._catalogue = catalogue
        self._account = account

    async def check_open(self, adapter: str, deposit: TokenAmount, days: int) -> Listing:
        """The listing for which a channel may be opened. Raises: RefusedError, UsageError, NotFoundError."""
        listing = await self._catalogue.listing(adapter)
        offer, name = listing.offer, listing.manifest.name
        if not offer.is_metered:
            buy = f"viz-node license {name} --max-price {format_amount(offer.price)}"
            raise RefusedError(f"{name} is not paid per use", buy)
        if not offer.is_open:
            raise RefusedError(f"{name} is not sold any more", "viz-node search")
        if deposit < offer.price:
            hint = f"viz-node channel open {name} --deposit {format_amount(offer.price)}"
            raise UsageError(f"one use of {name} costs {format_tokens(offer.price)}", hint)
        window = (await asyncio.to_thread(self._market.facts)).close_window_seconds
        if days * DAY_SECONDS <= window:
            least = window // DAY_SECONDS + 1
            raise UsageError(f"a channel is not served in its last {format_span(window)}", f"--days {least}, or more")
        return listing

    async def check_top_up(self, number: int) -> PaidChannel:
        """The channel, if more money is of use in it. Raises: NotFoundError, RefusedError."""
        paid = await self.find(number)
        if paid.channel is None or not paid.body or paid.seconds_left <= 0:
            told = f"channel {number} is closed, about to, or its key is lost"
            raise RefusedError(told, "viz-node channel open ADAPTER --deposit 2.00")
        return paid

    async def channels(self) -> list[PaidChannel]:
        """All channels of this account, the oldest first; those of which the node knows nothing come last."""
        market = self._market
        opened: Sequence[Channel] = await asyncio.to_thread(market.channels_of, self._account)
        ends_from = await asyncio.to_thread(market.block_time)
        ends_from += (await asyncio.to_thread(market.facts)).close_window_seconds
        by_session = {str(channel.session_account): channel for channel in opened}
        found = []
        # From here on nothing waits, so that no use in progress is written over.
        for key, body in self._store.channels.channels_with(PAID).items():
            channel = by_session.pop(body["session"], None)
            if channel is not None and body["number"] != channel.number:
                # A voucher names the number: those from before a reorganisation that changed it are worth nothing.
                body |= {"number": channel.number, "uses": 0, "tree": [], "asked": {}}
                self._store.channels.save_channel(key, body)
            found.append(PaidChannel(key, body, channel, channel.close_at - ends_from if channel else 0))
        return found + [PaidChannel("", {}, item, item.close_at - ends_from) for item in by_session.values()]

    async def find(self, number: int) -> PaidChannel:
        """The channel with this number. Raises: NotFoundError."""
        for paid in await self.channels():
            if paid.number == number:
                return paid
        raise NotFoundError(f"this account has no channel {number}", "viz-node channel list")

    async def rows(self) -> list[dict[str, Any]]:
        """The channels of this account, as people see them."""
        return [_row(paid) | {"adapter": self.name_of(paid)} for paid in await self.channels()]

    def name_of(self, paid: PaidChannel) -> str:
        """The name of the adapter that the channel pays for, as far as this node knows it."""
        adapter_id = str(paid.body.get("adapter_id", ""))
        return self._catalogue.names().get(adapter_id, adapter_id[:12])

    async def show(self, number: int) -> dict[str, Any]:
        """One channel with its receipts; `kept` are jobs whose answers wait for them. Raises: NotFoundError."""
        paid = await self.find(number)
        kept = sorted(self.unfinished(paid.body.get("kept", {})))
        receipts = self._store.channels.receipts_of(paid.key)
        return _row(paid) | {"adapter": self.name_of(paid), "kept": kept, "receipts": receipts}

    async def over(self) -> list[int]:
        """The numbers of those whose rest can be taken back. Raises: ChainUnavailableError."""
        now = await asyncio.to_thread(self._market.block_time)
        opened = [paid.channel for paid in await self.channels() if paid.channel is not None]
        return [channel.number for channel in opened if now >= channel.close_at]

    def unfinished(self, kept: dict[str, str]) -> dict[str, str]:
        """Without the answers that their jobs have taken."""
        done = {job.job_id for job in self._store.jobs.list_jobs() if job.state is JobState.DONE} if kept else set()
        return {job_id: answer for job_id, answer in kept.items() if job_id not in done}


def _row(paid: PaidChannel) -> dict[str, Any]:
    body, channel = paid.body, paid.channel
    price, uses = body.get("price") or (channel.price if channel else 0), body.get("uses", 0)
    row = {
        "channel": paid.number,
        "adapter_id": body.get("adapter_id", ""),
        "price": format_amount(price),
        "uses": uses,
        "uses_left": paid.uses_left,
        "spent": format_amount(uses * price),
        "session": body.get("session") or (channel.session_account if channel else ""),
        "days_left": max(0, paid.seconds_left) // DAY_SECONDS,
        "deposit": format_amount(channel.deposit if channel else 0),
        "close_at": channel.close_at if channel else None,
    }
    return row | {"state": _state(paid)}


def _state(paid: PaidChannel) -> str:
    if paid.channel is None:
        return "closed" if paid.body["number"] else "not open"
    if not paid.body:
        return "key lost"
    return "open" if paid.seconds_left > 0 else "closing"
