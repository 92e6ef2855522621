"""The part of uses that are paid one by one: channels, and what is asked through them."""

import asyncio
from dataclasses import dataclass

from viz_node.domain.decide_channel import AskedChannel
from viz_node.domain.ids import parse_amount
from viz_node.domain.job import Queued
from viz_node.domain.limits import USE_TOKENS
from viz_node.domain.orders import CloseChannelOrder, OpenChannelOrder, TopUpOrder, UseOrder
from viz_node.domain.plan import PlanStep
from viz_node.services.jobs.runner import JobRunner
from viz_node.services.part import Kind, Lane, Part, operations_of
from viz_node.services.uses.open_channel import ChannelJobs
from viz_node.services.uses.paid_channels import PaidChannels, ShownChannel
from viz_node.services.uses.pay_uses import Metered
from viz_node.services.uses.plan_channels import ChannelPlans
from viz_node.services.uses.publish_receipts import ReceiptFiles, WrittenReceipts
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
        return Part(
            operations_of(ChannelOperations(self, jobs)),
            answers={USE_METHOD: self.meter.on_use},
            watchers=(jobs_of.watch, self.meter.watch),
            kinds=(
                Kind(OpenChannelOrder, Lane.MARKET, jobs_of.open),
                Kind(TopUpOrder, Lane.MARKET, jobs_of.top_up),
                Kind(CloseChannelOrder, Lane.MARKET, jobs_of.close),
                Kind(UseOrder, Lane.METERED, self.metered.use),
            ),
        )


class ChannelOperations:
    """What a payer asks of channels."""

    def __init__(self, uses: Uses, jobs: JobRunner) -> None:
        self._channels, self._plans, self._receipts, self._jobs = uses.channels, uses.plans, uses.receipts, jobs

    async def generate_metered(self, *, adapter: str, prompt: str, max_new_tokens: int = 80) -> Queued:
        """Have the owner's node write, for the price of one use."""
        USE_TOKENS.check(max_new_tokens)
        return self._jobs.accept(UseOrder(adapter, prompt, max_new_tokens))

    async def channel_open(self, *, adapter: str, deposit: str, days: int = 30) -> Queued:
        """Lock a deposit for uses."""
        asked = AskedChannel(parse_amount(deposit), days)
        listing, _ = await self._channels.decide_open(adapter, asked)
        return self._jobs.accept(OpenChannelOrder(listing.adapter_id, asked.deposit, asked.days))

    async def plan_channel(self, *, adapter: str, deposit: str, days: int = 30) -> list[PlanStep]:
        """What a channel costs and means."""
        return await self._plans.open(adapter, AskedChannel(parse_amount(deposit), days))

    async def plan_top_up(self, *, channel: int, amount: str) -> list[PlanStep]:
        """What adding to a deposit costs and means."""
        return await self._plans.top_up(channel, parse_amount(amount))

    async def plan_close(self, *, channel: int) -> list[PlanStep]:
        """What closing a channel costs and means."""
        return await self._plans.close(channel)

    async def channel_list(self) -> list[ShownChannel]:
        """Channels that this node pays for."""
        return await self._channels.rows()

    async def channel_show(self, *, channel: int) -> ShownChannel:
        """One channel with its receipts."""
        return await self._channels.show(channel)

    async def channel_receipts(self, *, channel: int, path: str) -> WrittenReceipts:
        """Write a channel's receipts to a file."""
        return await asyncio.to_thread(self._receipts.write, channel, path)

    async def channel_top_up(self, *, channel: int, amount: str) -> Queued:
        """Add to a deposit."""
        return self._jobs.accept(TopUpOrder(channel, parse_amount(amount)))

    async def channel_close(self, *, channel: int) -> Queued:
        """Ask for the close of a channel."""
        return self._jobs.accept(CloseChannelOrder(channel))
