"""Channels for metered use: as the chain has them, and what the node of the payer or of the owner keeps of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec

from viz_node.domain.ids import Account, PeerId, TokenAmount
from viz_node.domain.usage import Peaks
from viz_node.errors import VerificationError

PAID, EARNED = "pay:", "earn:"
"""How the keys of records begin: the job that opened the channel follows, or the channel's number."""
_NOT_KEPT = PeerId("")
_Record = TypeVar("_Record")


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


@dataclass(frozen=True)
class PaidRecord:
    """What the payer's node keeps of a channel, from before it is opened on.

    `number` is that on the chain, once known; `item` a decimal number; `key` the sealed session key, in hex. `tree` is
    over the receipts of `uses` uses. `asked` has the job of each digest of a question that is open, `kept` the sealed
    answer, in hex, of each job that has not taken it. The first versions kept no `peer_id` and no `item`.
    """

    number: int | None
    adapter_id: str
    offer_id: int
    price: TokenAmount
    session: Account
    key: str
    peer_id: PeerId = _NOT_KEPT
    item: str = ""
    uses: int = 0
    tree: Peaks = ()
    asked: Mapping[str, str] = field(default_factory=dict)
    kept: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class EarnedRecord:
    """What the owner's node keeps of a channel: the newest voucher (`root`, `signature` in hex), and who holds it.

    `session` is empty in the records of versions that did not keep it.
    """

    adapter_id: str
    peer_id: PeerId
    uses: int
    cumulative: int
    root: str
    signature: str
    tree: Peaks
    session: str = ""


def parse_paid(text: str) -> PaidRecord:
    """A row of the database. Raises: VerificationError (it was changed by another hand)."""
    return _parse(text, PaidRecord)


def parse_earned(text: str) -> EarnedRecord:
    """A row of the database. Raises: VerificationError (it was changed by another hand)."""
    return _parse(text, EarnedRecord)


def _parse(text: str, kind: type[_Record]) -> _Record:
    try:
        return msgspec.json.decode(text, type=kind)
    except msgspec.MsgspecError as error:
        raise VerificationError(f"the record of a channel is malformed: {error}", "restore a backup") from error


@dataclass(frozen=True)
class PaidChannel:
    """A channel of this account: what the node keeps under `key`, and what the chain says; one of both may lack."""

    key: str
    record: PaidRecord | None
    channel: Channel | None
    seconds_left: int
    """Until it is not served any more."""

    @property
    def number(self) -> int | None:
        """Its number on the chain, once that is known."""
        if self.channel is not None:
            return self.channel.number
        return self.record.number if self.record else None

    @property
    def price(self) -> TokenAmount:
        """The price of one use; 0 if nothing is known of the channel."""
        if self.record is not None:
            return self.record.price
        return self.channel.price if self.channel else TokenAmount(0)

    @property
    def uses(self) -> int:
        """How many the node has the receipts of."""
        return self.record.uses if self.record else 0

    @property
    def uses_left(self) -> int:
        """How often the deposit still pays for a use."""
        if self.channel is None or self.record is None or self.seconds_left <= 0:
            return 0
        return self.channel.deposit // self.channel.price - self.uses

    @property
    def rest(self) -> TokenAmount:
        """The deposit less the uses so far."""
        if self.channel is None:
            return TokenAmount(0)
        uses = max(self.uses, self.channel.uses)
        return TokenAmount(self.channel.deposit - uses * self.channel.price)

    @property
    def state(self) -> str:
        """In words: `not open`, `open`, `closing`, `closed` or `key lost`."""
        if self.channel is None:
            return "closed" if self.number else "not open"
        if self.record is None:
            return "key lost"
        return "open" if self.seconds_left > 0 else "closing"
