"""Channels for metered use: deposits, vouchers that are redeemed, and what goes back."""

from collections.abc import Sequence
from dataclasses import dataclass

from viz_node.chain.gateway.reader import NOBODY, MarketReader
from viz_node.chain.ledger import EntryKind
from viz_node.chain.transactions import Call
from viz_node.chain.vouchers import Voucher
from viz_node.domain.ids import Account, TokenAmount, format_amount
from viz_node.domain.purchase import NewChannel
from viz_node.errors import NotFoundError

OFFER_MASK = (1 << 64) - 1


@dataclass(frozen=True)
class Channel:
    """An open channel; `uses` were redeemed, and `close_at` is the second from which the rest can be taken back."""

    number: int
    session_account: Account
    close_at: int
    split_id: int
    deposit: TokenAmount
    price: TokenAmount
    uses: int
    payer: Account
    offer_id: int

    @property
    def redeemed(self) -> TokenAmount:
        """Units that went to the split."""
        return TokenAmount(self.uses * self.price)


class ChannelsGateway(MarketReader):
    """Open channels and the calls of both sides."""

    def channel(self, number: int) -> Channel:
        """One open channel. Raises: NotFoundError."""
        found = self._channels([number])
        if not found:
            raise NotFoundError(f"no channel {number} is open")
        return found[0]

    def channels_of(self, payer: str) -> list[Channel]:
        """The open channels of a payer, oldest first."""
        return self._channels([entry.key for entry in self._entries(EntryKind.CHANNEL_OPENED, who=payer)])

    def channels_for(self, offer_ids: Sequence[int]) -> list[Channel]:
        """The open channels of these offers, oldest first."""
        opened = self._entries(EntryKind.CHANNEL_OPENED)
        return self._channels([entry.key for entry in opened if entry.b & OFFER_MASK in offer_ids])

    def prepare_open_channel(self, channel: NewChannel) -> Call:
        """Open a channel out of the sender's allowance."""
        values = channel.offer_id, channel.session_account, channel.deposit
        description = f"open a channel for offer {channel.offer_id} with {format_amount(channel.deposit)}"
        return self._to_market(description, "openChannel", *values, channel.lifetime_seconds, channel.max_price)

    def prepare_top_up(self, number: int, amount: TokenAmount) -> Call:
        """Add to the deposit of an open channel, out of the sender's allowance."""
        return self._to_market(f"add {format_amount(amount)} to channel {number}", "topUp", number, amount)

    def prepare_redeem(self, vouchers: Sequence[tuple[Voucher, bytes]]) -> Call:
        """Redeem the newest voucher of each of these channels, with their signatures of 64 bytes."""
        rows = [(v.channel, v.uses, v.usage_root, signature[:32], signature[32:]) for v, signature in vouchers]
        if len(rows) == 1:
            return self._to_market(f"redeem the voucher of channel {rows[0][0]}", "redeem", rows[0])
        return self._to_market(f"redeem the vouchers of {len(rows)} channels", "redeemMany", rows)

    def prepare_ask_close(self, number: int) -> Call:
        """Shorten the life of the sender's channel to the close window."""
        return self._to_market(f"ask to close channel {number}", "askClose", number)

    def prepare_close_channel(self, number: int) -> Call:
        """End a channel whose time is over; the rest goes back to its payer."""
        return self._to_market(f"close channel {number}", "closeChannel", number)

    def _channels(self, numbers: Sequence[int]) -> list[Channel]:
        answers = self._views([("channels", (number,)) for number in numbers])
        rows = [Channel(number, *values) for number, values in zip(numbers, answers, strict=True)]
        return [row for row in rows if row.session_account != NOBODY]
