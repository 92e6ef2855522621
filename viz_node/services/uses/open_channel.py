"""Open, fill and close channels; the session key is kept before anything is signed, and rests are taken back."""

from dataclasses import dataclass

from viz_node.domain.channel import PAID, PaidRecord
from viz_node.domain.decide_channel import AskedChannel, Closing, decide_close, decide_top_up
from viz_node.domain.decision import granted
from viz_node.domain.ids import Account, format_amount
from viz_node.domain.job import Job, JobStep
from viz_node.domain.orders import CloseChannelOrder, OpenChannelOrder, TopUpOrder
from viz_node.domain.purchase import NewChannel
from viz_node.domain.purposes import Purpose
from viz_node.domain.terms import DAY_SECONDS
from viz_node.errors import (
    NotFoundError,
    TransactionRevertedError,
)
from viz_node.ports.money import Spending
from viz_node.ports.state import Channels
from viz_node.ports.uses import ChannelCalls
from viz_node.services.market.listings import item_of
from viz_node.services.money.pay_price import Payments
from viz_node.services.part import Report
from viz_node.services.uses.paid_channels import PaidChannels, UseKeys


@dataclass(frozen=True)
class OpenedChannel:
    """What opening a channel made."""

    channel: int
    deposit: str
    tx_hash: str


@dataclass(frozen=True)
class ToppedUp:
    """What was added to a deposit."""

    channel: int
    added: str
    tx_hash: str


@dataclass(frozen=True)
class ClosingChannel:
    """When the rest of a channel can be taken back; nothing if it was before."""

    channel: int
    close_at: int | None
    tx_hash: str | None


class ChannelJobs:
    """What this account's channels cost and bring back."""

    def __init__(
        self,
        rows: Channels,
        market: ChannelCalls,
        payments: Payments,
        treasury: Spending,
        channels: PaidChannels,
        keys: UseKeys,
    ) -> None:
        self._rows = rows
        self._market = market
        self._payments = payments
        self._treasury = treasury
        self._channels = channels
        self._keys = keys

    async def open(self, job: Job[OpenChannelOrder], report: Report) -> OpenedChannel:
        """Job: lock the deposit; the session key is kept before anything is signed."""
        key, deposit = f"{PAID}{job.job_id}", job.order.deposit
        record = self._rows.find_paid(key) or await self._begin(key, job.order)
        report(JobStep("open", 1, 1))
        wanted = NewChannel(
            item=int(record.item),
            session_account=record.session,
            deposit=deposit,
            lifetime_seconds=job.order.days * DAY_SECONDS,
            max_price=record.price,
        )
        purpose = Purpose("channel", job.job_id)
        call = self._market.prepare_open_channel
        tx_hash = await self._payments.execute(f"channel:{job.job_id}", deposit, lambda: call(wanted), purpose)
        paid = next(paid for paid in await self._channels.channels() if paid.key == key)
        if paid.number is None:
            raise NotFoundError("the channel is no longer on the chain", "viz-node channel list")
        return OpenedChannel(paid.number, format_amount(deposit), tx_hash)

    async def _begin(self, key: str, order: OpenChannelOrder) -> PaidRecord:
        asked = AskedChannel(order.deposit, order.days)
        listing, opening = await self._channels.decide_open(order.adapter, asked)
        session_key = self._keys.sealing.new_key()
        record = PaidRecord(
            number=None,
            adapter_id=listing.adapter_id,
            peer_id=listing.manifest.peer_id,
            offer_id=listing.offer.offer_id,
            item=str(item_of(self._market, listing.manifest, listing.offer)),
            price=opening.price,
            session=self._keys.vouchers.session_account(session_key),
            key=self._keys.sealing.seal(session_key).hex(),
        )
        self._rows.save_paid(key, record)
        return record

    async def top_up(self, job: Job[TopUpOrder], report: Report) -> ToppedUp:
        """Job: add to a deposit."""
        number, amount = job.order.channel, job.order.amount
        report(JobStep("top up", 1, 1))
        order_id = f"top-up:{job.job_id}"
        session = Account("")
        if await self._treasury.finish(order_id) is None:
            session = granted(decide_top_up(await self._channels.find(number), amount)).session
        call = self._market.prepare_top_up
        purpose = Purpose("top-up", job.job_id)
        tx_hash = await self._payments.execute(order_id, amount, lambda: call(number, session, amount), purpose)
        return ToppedUp(number, format_amount(amount), tx_hash)

    async def close(self, job: Job[CloseChannelOrder], report: Report) -> ClosingChannel:
        """Job: ask for the close; `watch` takes the rest back after the owner's close window."""
        number, order_id = job.order.channel, f"ask-close:{job.job_id}"
        report(JobStep("ask", 1, 1))
        asked = await self._treasury.finish(order_id)
        tx_hash = asked.tx_hash if asked else None
        # One that is closed already is no failure: the job may have been killed after it was.
        if asked is None and isinstance(decide_close(await self._channels.find(number)), Closing):
            purpose = Purpose("ask-close", job.job_id)
            call = self._market.prepare_ask_close
            tx_hash = await self._treasury.execute(order_id, lambda: call(number), purpose)
        channel = (await self._channels.find(number)).channel
        return ClosingChannel(number, channel.close_at if channel else None, tx_hash)

    async def watch(self) -> None:
        """Take back the rest of channels whose time is over. Raises: ChainUnavailableError, InsufficientFundsError."""
        for number in await self._channels.over():
            await self._take_back(number)

    async def _take_back(self, number: int) -> None:
        call = self._market.prepare_close_channel
        try:
            await self._treasury.submit(f"close:{number}", lambda: call(number), Purpose("close"))
        except TransactionRevertedError:  # anyone may close
            return
