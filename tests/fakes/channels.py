"""The market's channels in memory: deposits, vouchers that are really verified, and what goes back."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.fakes.state import WINDOW_SECONDS, MemoryCall, State, pull, require_item
from viz_node.chain.contract.vouchers import Vouchers
from viz_node.domain.channel import Channel
from viz_node.domain.deployment import Deployment
from viz_node.domain.ids import Account, TokenAmount
from viz_node.domain.purchase import NewChannel
from viz_node.domain.usage import Voucher
from viz_node.errors import NotFoundError, TransactionRevertedError, VerificationError

VOUCHERS = Vouchers(Deployment(31337, Account("0x" + "77" * 20), Account("0x" + "78" * 20), 0, ""))


class MemoryChannels:
    """What `ChannelsGateway` does, on a `MemoryChain`."""

    _chain: Any

    def channel(self, number: int) -> Channel:
        if number not in self._chain.state.channels:
            raise NotFoundError(f"no channel {number} is open")
        return self._chain.state.channels[number]

    def channels_of(self, payer: str) -> list[Channel]:
        return [channel for channel in self._chain.state.channels.values() if channel.payer == payer]

    def open_channels(self, numbers: Sequence[int]) -> list[Channel]:
        channels = self._chain.state.channels
        return [channels[number] for number in numbers if number in channels]

    def deposit_through(self, number: int, block: int) -> TokenAmount:
        deposits = self._chain.state.deposits.get(number, [])
        return TokenAmount(sum(amount for when, amount in deposits if when <= block))

    def prepare_open_channel(self, new: NewChannel) -> MemoryCall:
        def open_channel(state: State, account: str, now: int) -> None:
            offer_id = require_item(state, new.item)
            offer = state.offers[offer_id - 1]
            if not offer.is_open or not offer.is_metered or not offer.price <= min(new.deposit, new.max_price):
                raise TransactionRevertedError("the contract refused: OfferWithdrawn(), OfferNotMetered(), …")
            if new.lifetime_seconds < WINDOW_SECONDS:
                raise TransactionRevertedError("the contract refused: LifetimeOutOfBounds()")
            number = state.last_channel = state.last_channel + 1
            self._lock(state, account, number, new.deposit)
            place = number, new.session_account, now + new.lifetime_seconds, offer.split_id
            terms = new.deposit, offer.price, 0, Account(account), offer_id
            state.channels[number] = Channel(*place, *terms)

        return MemoryCall("open", open_channel)

    def prepare_top_up(self, number: int, session_account: Account, amount: TokenAmount) -> MemoryCall:
        def top_up(state: State, account: str, _: int) -> None:
            channel = _open(state, number)
            if channel.session_account != session_account:
                raise TransactionRevertedError("the contract refused: NotSessionKey()")
            self._lock(state, account, number, amount)
            state.channels[number] = replace(channel, deposit=channel.deposit + amount)

        return MemoryCall("top up", top_up)

    def prepare_redeem(self, vouchers: Sequence[tuple[Voucher, bytes]]) -> MemoryCall:
        def redeem(state: State, _: str, __: int) -> None:
            for voucher, signature in vouchers:
                channel = _open(state, voucher.channel)
                if voucher.uses <= channel.uses or voucher.uses * channel.price > channel.deposit:
                    raise TransactionRevertedError("the contract refused: VoucherSpent() or DepositExceeded()")
                due = replace(voucher, cumulative=voucher.uses * channel.price)  # the market knows both
                try:
                    VOUCHERS.verify(channel.session_account, due, signature)
                except VerificationError as error:
                    raise TransactionRevertedError("the contract refused: NotSessionKey()") from error
                added = (voucher.uses - channel.uses) * channel.price
                state.accrued[channel.split_id] = state.accrued.get(channel.split_id, 0) + added
                state.channels[voucher.channel] = replace(channel, uses=voucher.uses)

        return MemoryCall("redeem", redeem)

    def prepare_ask_close(self, number: int) -> MemoryCall:
        def ask_close(state: State, account: str, now: int) -> None:
            channel, close_at = _open(state, number), now + WINDOW_SECONDS
            if channel.payer != account or close_at >= channel.close_at:
                raise TransactionRevertedError("the contract refused: NotPayer() or ClosingAlready()")
            state.channels[number] = replace(channel, close_at=close_at)

        return MemoryCall("ask close", ask_close)

    def prepare_close_channel(self, number: int) -> MemoryCall:
        def close(state: State, _: str, now: int) -> None:
            channel = _open(state, number)
            if now < channel.close_at:
                raise TransactionRevertedError("the contract refused: NotClosable()")
            del state.channels[number], state.deposits[number]
            state.tokens[channel.payer] = state.tokens.get(channel.payer, 0) + channel.deposit - channel.redeemed

        return MemoryCall("close", close)

    def _lock(self, state: State, account: str, number: int, amount: int) -> None:
        pull(state, account, amount)
        state.deposits.setdefault(number, []).append((self._chain.block, amount))


def _open(state: State, number: int) -> Channel:
    if number not in state.channels:
        raise TransactionRevertedError("the contract refused: UnknownChannel()")
    return state.channels[number]
