"""Channels for metered use: deposits, vouchers that are redeemed, and what goes back.

Which channels are open is an index over ledger entries that reads only the newest blocks; what is in them is asked of
the market at every look.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from viz_node.chain.gateway.index import Fold
from viz_node.chain.gateway.reader import NOBODY, MarketReader
from viz_node.chain.ledger import ENTRY_TOPIC, EntryKind, entry_of, topic_of
from viz_node.chain.logs import Log
from viz_node.chain.rpc import to_hex
from viz_node.chain.transactions import Call
from viz_node.chain.vouchers import Voucher
from viz_node.domain.ids import Account, TokenAmount, format_amount
from viz_node.domain.purchase import NewChannel
from viz_node.errors import NotFoundError

Deposits = tuple[tuple[int, int], ...]
"""Blocks, and what was locked in each."""


def _note(open_channels: dict[int, Deposits], log: Log) -> None:
    entry = entry_of(log)
    if entry.kind == EntryKind.CHANNEL_CLOSED:
        open_channels.pop(entry.key, None)
    elif entry.kind == EntryKind.CHANNEL_OPENED or entry.key in open_channels:
        open_channels[entry.key] = (*open_channels.get(entry.key, ()), (entry.block_number, entry.a))


_OPEN = Fold(dict, _note)
_KINDS = tuple(map(topic_of, (EntryKind.CHANNEL_OPENED, EntryKind.TOPPED_UP, EntryKind.CHANNEL_CLOSED)))


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
        return self._channels(list(self._deposits(payer)))

    def open_channels(self, numbers: Sequence[int]) -> list[Channel]:
        """Those of these channels that are open."""
        opened = self._deposits()
        return self._channels([number for number in numbers if number in opened])

    def deposit_through(self, number: int, block: int) -> TokenAmount:
        """What was locked in an open channel in blocks up to this one."""
        return TokenAmount(sum(amount for when, amount in self._deposits().get(number, ()) if when <= block))

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

    def _deposits(self, payer: str | None = None) -> dict[int, Deposits]:
        who = None if payer is None else topic_of(int(payer, 16))
        opened: dict[int, Deposits] = self._follow((to_hex(ENTRY_TOPIC), _KINDS, None, who), _OPEN)
        return opened

    def _channels(self, numbers: Sequence[int]) -> list[Channel]:
        answers = self._views([("channels", (number,)) for number in numbers])
        rows = [Channel(number, *values) for number, values in zip(numbers, answers, strict=True)]
        return [row for row in rows if row.session_account != NOBODY]
