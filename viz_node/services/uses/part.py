"""The part of uses that are paid one by one: channels, and what is asked through them."""

import asyncio
from dataclasses import dataclass

from viz_node.domain.ids import parse_amount
from viz_node.services.jobs.runner import JobRunner
from viz_node.services.part import Answer, Lane, Part, Rows, on_lane, operations_of
from viz_node.services.uses.open_channel import ChannelJobs
from viz_node.services.uses.paid_channels import PaidChannels
from viz_node.services.uses.pay_uses import Metered
from viz_node.services.uses.plan_channels import ChannelPlans
from viz_node.services.uses.publish_receipts import ReceiptFiles
from viz_node.services.uses.serve_uses import USE_METHOD, Meter


@dataclass(frozen=True)
class Uses:
    """The use cases of this stage."""

    channels: PaidChannels
    channel_jobs: ChannelJobs
    metered: Metered
    meter: Meter
    plans: ChannelPlans
    receipts: ReceiptFiles

    def part(self, jobs: JobRunner) -> Part:
        """One use is asked for after another, beside the jobs of the market."""
        jobs_of = self.channel_jobs
        handlers = {"channel": jobs_of.open, "top_up": jobs_of.top_up, "close": jobs_of.close}
        return Part(
            operations_of(ChannelOperations(self, jobs)),
            on_lane(Lane.MARKET, handlers) | on_lane(Lane.METERED, {"use": self.metered.use}),
            {USE_METHOD: self.meter.on_use},
            (jobs_of.watch, self.meter.watch),
        )


class ChannelOperations:
    """What a payer asks of channels."""

    def __init__(self, uses: Uses, jobs: JobRunner) -> None:
        self._channels, self._plans, self._receipts, self._jobs = uses.channels, uses.plans, uses.receipts, jobs

    async def generate_metered(self, *, adapter: str, prompt: str, max_new_tokens: int = 80) -> Answer:
        """Have the owner's node write, for the price of one use."""
        order = {"adapter": adapter, "prompt": prompt, "max_new_tokens": max_new_tokens}
        return self._jobs.order("use", order)

    async def channel_open(self, *, adapter: str, deposit: str, days: int = 30) -> Answer:
        """Lock a deposit for uses."""
        listing = await self._channels.check_open(adapter, parse_amount(deposit), days)
        order = {"adapter": listing.adapter_id, "deposit": parse_amount(deposit), "days": days}
        return self._jobs.order("channel", order)

    async def plan_channel(self, *, adapter: str, deposit: str, days: int = 30) -> Rows:
        """What a channel costs and means."""
        return await self._plans.open(adapter, parse_amount(deposit), days)

    async def plan_top_up(self, *, channel: int, amount: str) -> Rows:
        """What adding to a deposit costs and means."""
        return await self._plans.top_up(channel, parse_amount(amount))

    async def plan_close(self, *, channel: int) -> Rows:
        """What closing a channel costs and means."""
        return await self._plans.close(channel)

    async def channel_list(self) -> Rows:
        """Channels that this node pays for."""
        return await self._channels.rows()

    async def channel_show(self, *, channel: int) -> Answer:
        """One channel with its receipts."""
        return await self._channels.show(channel)

    async def channel_receipts(self, *, channel: int, path: str) -> Answer:
        """Write a channel's receipts to a file."""
        return await asyncio.to_thread(self._receipts.write, channel, path)

    async def channel_top_up(self, *, channel: int, amount: str) -> Answer:
        """Add to a deposit."""
        return self._jobs.order("top_up", {"channel": channel, "amount": parse_amount(amount)})

    async def channel_close(self, *, channel: int) -> Answer:
        """Ask for the close of a channel."""
        return self._jobs.order("close", {"channel": channel})
