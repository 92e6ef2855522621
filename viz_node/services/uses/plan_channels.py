"""What opening, topping up and closing a channel costs and means, before it is ordered; nothing is signed here."""

import asyncio

from viz_node.domain.channel import PaidChannel
from viz_node.domain.counting import counted
from viz_node.domain.decide_channel import AskedChannel, decide_close, decide_top_up
from viz_node.domain.decision import NothingToDo, granted
from viz_node.domain.ids import Account, TokenAmount, format_amount, format_coin, format_span, format_tokens
from viz_node.domain.plan import PlanStep
from viz_node.domain.purchase import NewChannel
from viz_node.domain.transaction import Call
from viz_node.ports.money import Quotes
from viz_node.ports.uses import ChannelPlanning
from viz_node.services.market.listings import item_of
from viz_node.services.money.quote_payment import PaymentQuotes
from viz_node.services.uses.paid_channels import PaidChannels


class ChannelPlans:
    """The steps that people agree to."""

    def __init__(
        self, market: ChannelPlanning, payments: PaymentQuotes, quotes: Quotes, channels: PaidChannels, account: Account
    ) -> None:
        self._market = market
        self._payments = payments
        self._quotes = quotes
        self._channels = channels
        self._account = account

    async def open(self, adapter: str, asked: AskedChannel) -> list[PlanStep]:
        """The steps of opening a channel.

        Raises: NotFoundError, ChainUnavailableError, and the refusals of `decide_channel`.
        """
        listing, opening = await self._channels.decide_open(adapter, asked)
        item = item_of(self._market, listing.manifest, listing.offer)
        # Any account will do for the session key of a simulation.
        new = NewChannel(item, self._account, opening.deposit, opening.lifetime_seconds, opening.price)
        gas = await self._gas(opening.deposit, self._market.prepare_open_channel(new))
        within = f"within {counted(opening.served_days, 'day')}; what is not used comes back"
        consequence = f"{counted(opening.uses, 'use')} at {format_tokens(opening.price)} {within}"
        return [PlanStep(f"deposit for {listing.manifest.name}", format_amount(opening.deposit), gas, consequence)]

    async def top_up(self, number: int, amount: TokenAmount) -> list[PlanStep]:
        """The steps of adding to a deposit.

        Raises: NotFoundError, ChainUnavailableError, and the refusals of `decide_top_up`.
        """
        paid = await self._channels.find(number)
        more = granted(decide_top_up(paid, amount))
        gas = await self._gas(amount, self._market.prepare_top_up(number, more.session, amount))
        left = f"{counted(more.uses_left, 'use')} left at {format_tokens(more.price)}"
        consequence = f"{left}; the channel's end stays the same"
        return [PlanStep(f"deposit for {self._called(paid)}", format_amount(amount), gas, consequence)]

    async def close(self, number: int) -> list[PlanStep]:
        """What asking for the close means; nothing if it is asked already. Raises: NotFoundError."""
        paid = await self._channels.find(number)
        decision = decide_close(paid)
        if isinstance(decision, NothingToDo):
            return []
        closing = granted(decision)
        window = (await asyncio.to_thread(self._market.facts)).close_window_seconds
        gas = await self._quotes.quote_wei(self._market.prepare_ask_close(number))
        back = f"{format_tokens(closing.rest)} come back automatically after {format_span(window)}"
        return [PlanStep(f"close {self._called(paid)}", "", format_coin(gas), f"no further uses; {back}")]

    def _called(self, paid: PaidChannel) -> str:
        name = self._channels.name_of(paid)
        return f"channel {paid.number}, {name}" if name else f"channel {paid.number}"

    async def _gas(self, amount: TokenAmount, call: Call) -> str:
        quote = await self._payments.quote(amount, lambda: call)
        return format_coin(quote.approval_wei + quote.call_wei)
