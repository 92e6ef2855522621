"""What opening, topping up and closing a channel costs and means, before it is ordered; nothing is signed here."""

import asyncio
from typing import Any

from viz_node.domain.counting import counted
from viz_node.domain.ids import Account, TokenAmount, format_amount, format_coin, format_span, format_tokens
from viz_node.domain.purchase import NewChannel
from viz_node.domain.terms import DAY_SECONDS
from viz_node.domain.transaction import Call
from viz_node.errors import NotFoundError
from viz_node.ports.money import Quotes
from viz_node.ports.uses import ChannelPlanning
from viz_node.services.market.listings import item_of
from viz_node.services.money.quote_payment import PaymentQuotes
from viz_node.services.uses.paid_channels import PaidChannel, PaidChannels

Rows = list[dict[str, Any]]


class ChannelPlans:
    """Rows `what`, `amount`, `gas`, `consequence` for people to agree to."""

    def __init__(
        self, market: ChannelPlanning, payments: PaymentQuotes, quotes: Quotes, channels: PaidChannels, account: Account
    ) -> None:
        self._market = market
        self._payments = payments
        self._quotes = quotes
        self._channels = channels
        self._account = account

    async def open(self, adapter: str, deposit: TokenAmount, days: int) -> Rows:
        """The steps of opening a channel. Raises: as the job."""
        listing = await self._channels.check_open(adapter, deposit, days)
        market, offer, name = self._market, listing.offer, listing.manifest.name
        window = (await asyncio.to_thread(market.facts)).close_window_seconds
        served = (days * DAY_SECONDS - window) // DAY_SECONDS
        uses = deposit // offer.price
        within = f"within {counted(served, 'day')}; what is not used comes back"
        consequence = f"{counted(uses, 'use')} at {format_tokens(offer.price)} {within}"
        item = item_of(self._market, listing.manifest, offer)
        # Any account will do for the session key of a simulation.
        new = NewChannel(item, self._account, deposit, days * DAY_SECONDS, offer.price)
        row = {"what": f"deposit for {name}", "amount": format_amount(deposit), "consequence": consequence}
        return await self._paying(row, deposit, market.prepare_open_channel(new))

    async def top_up(self, number: int, amount: TokenAmount) -> Rows:
        """The steps of adding to a deposit. Raises: as the job."""
        paid = await self._channels.check_top_up(number)
        price = int(paid.body["price"])
        more = (int(paid.rest) + amount) // price
        consequence = f"{counted(more, 'use')} left at {format_tokens(price)}; it closes no later for it"
        what = f"deposit for {self._called(paid)}"
        row = {"what": what, "amount": format_amount(amount), "consequence": consequence}
        call = self._market.prepare_top_up(number, Account(paid.body["session"]), amount)
        return await self._paying(row, amount, call)

    async def close(self, number: int) -> Rows:
        """What asking for the close means; nothing if it is asked already. Raises: NotFoundError."""
        paid = await self._channels.find(number)
        if paid.channel is None:
            raise NotFoundError(f"channel {number} is not open", "viz-node channel list")
        if paid.seconds_left <= 0:
            return []
        window = (await asyncio.to_thread(self._market.facts)).close_window_seconds
        gas = await self._quotes.quote_wei(self._market.prepare_ask_close(number))
        consequence = f"no further uses; {format_tokens(paid.rest)} come back automatically after {format_span(window)}"
        what = f"close {self._called(paid)}"
        return [{"what": what, "amount": "", "gas": format_coin(gas), "consequence": consequence}]

    def _called(self, paid: PaidChannel) -> str:
        name = self._channels.name_of(paid)
        return f"channel {paid.number}, {name}" if name else f"channel {paid.number}"

    async def _paying(self, row: dict[str, Any], amount: TokenAmount, call: Call) -> Rows:
        quote = await self._payments.quote(amount, lambda: call)
        return [row | {"gas": format_coin(quote.approval_wei + quote.call_wei)}]
