"""Open, fill and close channels; the session key is kept before anything is signed, and rests are taken back."""

from typing import Any

from viz_node.domain.ids import Account, TokenAmount, format_amount
from viz_node.domain.job import Job
from viz_node.domain.purchase import NewChannel
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
from viz_node.services.uses.paid_channels import PAID, PaidChannels, UseKeys


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

    async def open(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: lock the deposit; the session key is kept before anything is signed."""
        key = f"{PAID}{job.job_id}"
        body = self._rows.find_channel(key) or await self._begin(key, job)
        deposit = TokenAmount(int(job.order["deposit"]))
        report({"phase": "open", "step": 1, "steps": 1})
        wanted = NewChannel(
            item=int(body["item"]),
            session_account=body["session"],
            deposit=deposit,
            lifetime_seconds=int(job.order["days"]) * DAY_SECONDS,
            max_price=TokenAmount(body["price"]),
        )
        detail = {"kind": "channel", "adapter": body["adapter_id"], "job": job.job_id}
        call = self._market.prepare_open_channel
        tx_hash = await self._payments.execute(f"channel:{job.job_id}", deposit, lambda: call(wanted), detail)
        paid = next(paid for paid in await self._channels.channels() if paid.key == key)
        if paid.number is None:
            raise NotFoundError("the channel is not on the chain any more", "viz-node channel list")
        return {"channel": paid.number, "deposit": format_amount(deposit), "tx_hash": tx_hash}

    async def _begin(self, key: str, job: Job) -> dict[str, Any]:
        deposit, days = TokenAmount(int(job.order["deposit"])), int(job.order["days"])
        listing = await self._channels.check_open(str(job.order["adapter"]), deposit, days)
        session_key = self._keys.sealing.new_key()
        body: dict[str, Any] = {
            "number": None,
            "adapter_id": listing.adapter_id,
            "peer_id": listing.manifest.peer_id,
            "offer_id": listing.offer.offer_id,
            "item": str(item_of(self._market, listing.manifest, listing.offer)),
            "price": listing.offer.price,
            "session": self._keys.vouchers.session_account(session_key),
            "key": self._keys.sealing.seal(session_key).hex(),
            "uses": 0,
            "tree": [],
            "asked": {},
            "kept": {},
        }
        self._rows.save_channel(key, body)
        return body

    async def top_up(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: add to a deposit."""
        number, amount = int(job.order["channel"]), TokenAmount(int(job.order["amount"]))
        report({"phase": "top up", "step": 1, "steps": 1})
        order_id = f"top-up:{job.job_id}"
        session = Account("")
        if await self._treasury.finish(order_id) is None:
            session = Account((await self._channels.check_top_up(number)).body["session"])
        call = self._market.prepare_top_up
        detail = {"kind": "top-up", "channel": number, "job": job.job_id}
        tx_hash = await self._payments.execute(order_id, amount, lambda: call(number, session, amount), detail)
        return {"channel": number, "added": format_amount(amount), "tx_hash": tx_hash}

    async def close(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: ask for the close; `watch` takes the rest back after the owner's close window."""
        number, order_id = int(job.order["channel"]), f"ask-close:{job.job_id}"
        report({"phase": "ask", "step": 1, "steps": 1})
        asked = await self._treasury.finish(order_id)
        tx_hash = asked.tx_hash if asked else None
        if asked is None and (await self._channels.find(number)).seconds_left > 0:
            detail = {"kind": "ask-close", "channel": number, "job": job.job_id}
            call = self._market.prepare_ask_close
            tx_hash = await self._treasury.execute(order_id, lambda: call(number), detail)
        channel = (await self._channels.find(number)).channel
        return {"channel": number, "close_at": channel.close_at if channel else None, "tx_hash": tx_hash}

    async def watch(self) -> None:
        """Take back the rest of channels whose time is over. Raises: ChainUnavailableError, InsufficientFundsError."""
        for number in await self._channels.over():
            await self._take_back(number)

    async def _take_back(self, number: int) -> None:
        call = self._market.prepare_close_channel
        detail = {"kind": "close", "channel": number}
        try:
            await self._treasury.submit(f"close:{number}", lambda: call(number), detail)
        except TransactionRevertedError:  # anyone may close
            return
