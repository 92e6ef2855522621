"""Channels for metered use: deposits, vouchers that are redeemed, and what goes back.

What is open and what is in it follows from ledger entries, in an index that reads only the newest blocks: a holder with
many channels asks nothing about each. A single channel, and those of a payer, are asked of the market itself.
"""

from collections.abc import Sequence
from dataclasses import replace

from viz_node.chain.contract.artifact import account_of_word
from viz_node.chain.contract.items import number_of
from viz_node.chain.contract.ledger import ENTRY_TOPIC, EntryKind, LedgerEntry, entry_of, topic_of
from viz_node.chain.contract.vouchers import Voucher
from viz_node.chain.gateway.index import Fold
from viz_node.chain.gateway.reader import NOBODY, MarketReader
from viz_node.chain.node.logs import Log
from viz_node.chain.node.rpc import to_hex
from viz_node.domain.channel import Channel
from viz_node.domain.counting import counted
from viz_node.domain.ids import Account, TokenAmount, format_tokens
from viz_node.domain.purchase import NewChannel
from viz_node.domain.transaction import Call
from viz_node.errors import NotFoundError

Deposits = tuple[tuple[int, int], ...]
"""Blocks, and what was locked in each."""
_NUMBER = (1 << 64) - 1


def _opened(entry: LedgerEntry) -> Channel:
    price, split_id, close_at = entry.b >> 64 & _NUMBER, entry.b >> 128 & 0xFFFFFFFF, entry.b >> 160
    place = entry.key, Account(account_of_word(entry.c)), close_at, split_id
    return Channel(*place, TokenAmount(entry.a), TokenAmount(price), 0, entry.who, entry.b & _NUMBER)


def _note(opened: dict[int, tuple[Channel, Deposits]], log: Log) -> None:
    entry = entry_of(log)
    if entry.kind == EntryKind.CHANNEL_OPENED:
        opened[entry.key] = _opened(entry), ((entry.block_number, entry.a),)
        return
    if entry.key not in opened:
        return
    channel, deposits = opened[entry.key]
    if entry.kind == EntryKind.CHANNEL_CLOSED:
        del opened[entry.key]
    elif entry.kind == EntryKind.TOPPED_UP:
        more = replace(channel, deposit=TokenAmount(entry.b))
        opened[entry.key] = more, (*deposits, (entry.block_number, entry.a))
    elif entry.kind == EntryKind.REDEEMED:
        opened[entry.key] = replace(channel, uses=entry.c), deposits
    else:
        opened[entry.key] = replace(channel, close_at=entry.a), deposits


_OPEN = Fold(dict, _note)
_KINDS = tuple(
    topic_of(kind)
    for kind in (
        EntryKind.CHANNEL_OPENED,
        EntryKind.TOPPED_UP,
        EntryKind.REDEEMED,
        EntryKind.CLOSE_ASKED,
        EntryKind.CHANNEL_CLOSED,
    )
)


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
        return self._channels(list(self._opened(payer)))

    def open_channels(self, numbers: Sequence[int]) -> list[Channel]:
        """Those of these channels that are open, as the ledger tells it."""
        opened = self._opened()
        return [opened[number][0] for number in numbers if number in opened]

    def deposit_through(self, number: int, block: int) -> TokenAmount:
        """What was locked in an open channel in blocks up to this one."""
        _, deposits = self._opened().get(number, (None, ()))
        return TokenAmount(sum(amount for when, amount in deposits if when <= block))

    def prepare_open_channel(self, channel: NewChannel) -> Call:
        """Open a channel out of the sender's allowance."""
        values = channel.item, channel.session_account, channel.deposit
        description = f"open a channel for offer {number_of(channel.item)} with {format_tokens(channel.deposit)}"
        return self._to_market(description, "openChannel", *values, channel.lifetime_seconds, channel.max_price)

    def prepare_top_up(self, number: int, session_account: Account, amount: TokenAmount) -> Call:
        """Add to the deposit of the open channel with this session key, out of the sender's allowance."""
        description = f"add {format_tokens(amount)} to channel {number}"
        return self._to_market(description, "topUp", number, session_account, amount)

    def prepare_redeem(self, vouchers: Sequence[tuple[Voucher, bytes]]) -> Call:
        """Redeem the newest voucher of each of these channels, with their signatures of 64 bytes."""
        rows = [(v.channel, v.uses, v.usage_root, signature[:32], signature[32:]) for v, signature in vouchers]
        if len(rows) == 1:
            return self._to_market(f"redeem the voucher of channel {rows[0][0]}", "redeem", rows[0])
        return self._to_market(f"redeem the vouchers of {counted(len(rows), 'channel')}", "redeemMany", rows)

    def prepare_ask_close(self, number: int) -> Call:
        """Shorten the life of the sender's channel to the close window."""
        return self._to_market(f"ask to close channel {number}", "askClose", number)

    def prepare_close_channel(self, number: int) -> Call:
        """End a channel whose time is over; the rest goes back to its payer."""
        return self._to_market(f"close channel {number}", "closeChannel", number)

    def _opened(self, payer: str | None = None) -> dict[int, tuple[Channel, Deposits]]:
        """Open channels; of one payer without what others did to them."""
        who = None if payer is None else topic_of(int(payer, 16))
        opened: dict[int, tuple[Channel, Deposits]] = self._follow((to_hex(ENTRY_TOPIC), _KINDS, None, who), _OPEN)
        return opened

    def _channels(self, numbers: Sequence[int]) -> list[Channel]:
        answers = self._views([("channels", (number,)) for number in numbers])
        rows = [Channel(number, *values) for number, values in zip(numbers, answers, strict=True)]
        return [row for row in rows if row.session_account != NOBODY]
