"""The owner's side of metered use: check the voucher, write, keep voucher and answer, answer; redeem automatically.

A voucher is kept in the same step as the answer it pays for, before the answer is sent: a crash before that step costs
the payer nothing and the owner one answer's work, after it the payer gets the same answer again for the same voucher.
Only who holds a voucher for the next use waits for the model. A channel in its last close window is not served any more
but redeemed, so that this node may be off for nearly as long as that window. `tests/unit/services/uses/test_uses.py`.
"""

import asyncio
import hashlib
import json
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from viz_node.domain.channel import EARNED, Channel, EarnedRecord
from viz_node.domain.decide_use import (
    ServingFacts,
    decide_next_use,
    is_worth_redeeming,
    refuse_deposit,
    refuse_serving,
)
from viz_node.domain.decision import granted
from viz_node.domain.ids import PeerId
from viz_node.domain.purposes import RedeemVouchers, purpose_as
from viz_node.domain.records import OutboxEntry
from viz_node.domain.usage import (
    RECEIPT_CONTEXT,
    UsageTree,
    UseAnswer,
    UseReceipt,
    UseRequest,
    Voucher,
    parse_use_request,
    text_digest,
)
from viz_node.errors import NotFoundError, RefusedError, TransactionRevertedError, VerificationError
from viz_node.ports.keys import PeerSigning, VoucherSigning
from viz_node.ports.money import SafeSpending
from viz_node.ports.state import WithAdapters, WithChannels, WithOutbox
from viz_node.ports.uses import EarnedUses
from viz_node.services.library.look_up import adapter_named
from viz_node.services.market.listings import Listings

log = logging.getLogger(__name__)

USE_METHOD = "use"
Write = Callable[[str, str, int], Awaitable[str]]
"""Name of an adapter of the library, prompt, tokens: the text."""

_MOST_CHECKED = 32
_MOST_WAITING = 8
_MOST_REDEEMED_AT_ONCE = 50

Signed = tuple[Voucher, bytes]


@dataclass(frozen=True)
class _Next:
    """The next use of a channel: its voucher, whose session key that is, and the tree over the uses before."""

    voucher: Voucher
    signature: bytes
    session: str
    tree: UsageTree


@dataclass(frozen=True)
class HolderKeys:
    """What signs receipts and keeps answers, and what checks vouchers."""

    sealing: PeerSigning
    vouchers: VoucherSigning


class MeterState(WithChannels, WithAdapters, WithOutbox, Protocol):
    """What is kept of channels that earn, the adapters that they use, and what is sent."""


class Meter:
    """Serves uses of this node's metered adapters, one after another, and redeems what they earned."""

    def __init__(
        self,
        store: MeterState,
        market: EarnedUses,
        treasury: SafeSpending,
        listings: Listings,
        keys: HolderKeys,
        write: Write,
    ) -> None:
        self._store = store
        self._market = market
        self._treasury = treasury
        self._listings = listings
        self._keys = keys
        self._write = write
        self._lock = asyncio.Lock()
        self._asking: dict[PeerId, asyncio.Task[bytes]] = {}
        self._waiting = 0

    async def on_use(self, peer_id: PeerId, payload: bytes) -> bytes:
        """A payer asks for a use, or once more for the last one that was answered."""
        request, signature = parse_use_request(payload)
        if peer_id in self._asking or len(self._asking) >= _MOST_CHECKED:
            raise RefusedError("the node is busy", "try again in a moment")
        task = asyncio.create_task(self._answered(peer_id, request, signature))
        self._asking[peer_id] = task
        task.add_done_callback(lambda done: self._leave(peer_id, done))
        # A payer that hangs up has paid, and may ask again: else the model could be kept busy for nothing.
        return await asyncio.shield(task)

    def _leave(self, peer_id: PeerId, done: "asyncio.Task[bytes]") -> None:
        del self._asking[peer_id]
        if not done.cancelled():
            done.exception()  # nobody else may be there to take it

    async def _answered(self, peer_id: PeerId, request: UseRequest, signature: bytes) -> bytes:
        kept = self._kept(peer_id, request)
        if kept is not None:
            return kept
        await self._check(request, signature)
        return await self._in_turn(peer_id, request, signature)

    async def _in_turn(self, peer_id: PeerId, request: UseRequest, signature: bytes) -> bytes:
        if self._waiting >= _MOST_WAITING:
            raise RefusedError("the node is busy", "try again in a moment")
        self._waiting += 1
        try:
            async with self._lock:
                use = await self._check(request, signature)  # again: others were served meanwhile
                name = self._own_adapter(request.adapter_id)
                answer = self._answer(request, await self._write(name, request.prompt, request.max_new_tokens))
                return self._keep(peer_id, use, answer)
        finally:
            self._waiting -= 1

    def _kept(self, peer_id: PeerId, request: UseRequest) -> bytes | None:
        """The answer to the last use, if it is asked for once more."""
        key = f"{EARNED}{request.channel}"
        account = self._store.channels.find_earned(key)
        if account is None or (request.uses, peer_id) != (account.uses, account.peer_id):
            return None
        return self._keys.sealing.open(bytes.fromhex(self._store.channels.answer_of(key) or ""))

    async def _check(self, request: UseRequest, signature: bytes) -> _Next:
        """The next use, if this is it and is paid. Raises: VerificationError, RefusedError, NotFoundError."""
        channel = await asyncio.to_thread(self._market.channel, request.channel)
        use = granted(
            decide_next_use(channel, self._store.channels.find_earned(f"{EARNED}{channel.number}"), request.uses)
        )
        voucher = use.voucher
        # Before anything is said of the channel's money: who asks must hold its key.
        self._keys.vouchers.verify(channel.session_account, voucher, signature)
        granted(refuse_deposit(channel, voucher.cumulative))
        facts = await self._serving_facts(request.adapter_id, channel)
        granted(refuse_serving(channel, facts, request.adapter_id, voucher.cumulative))
        return _Next(voucher, signature, channel.session_account, use.tree)

    async def _serving_facts(self, adapter_id: str, channel: Channel) -> ServingFacts:
        record = self._store.adapters.find_adapter(self._own_adapter(adapter_id))
        owner = self._listings.manifest_of(record).account
        market, shown = self._market, (await self._treasury.heads()).shown

        def read() -> ServingFacts:
            on_chain = market.find_adapter(bytes.fromhex(adapter_id), owner)
            offers = market.offers_of(on_chain.number) if on_chain else ()
            return ServingFacts(
                [offer.offer_id for offer in offers if offer.is_metered],
                market.block_time(),
                market.facts().close_window_seconds,
                market.deposit_through(channel.number, shown),
            )

        return await asyncio.to_thread(read)

    def _own_adapter(self, adapter_id: str) -> str:
        record = adapter_named(self._store.adapters, adapter_id)
        if record is None or record.manifest is None or record.origin == "fetched":
            raise NotFoundError("no such adapter here")
        return record.name

    def _answer(self, request: UseRequest, text: str) -> UseAnswer:
        receipt = UseReceipt(
            market=self._keys.vouchers.domain.hex(),
            channel=request.channel,
            uses=request.uses,
            adapter_id=request.adapter_id,
            request=request.digest(),
            answer=text_digest(text),
        )
        return UseAnswer(text, receipt, self._keys.sealing.sign(RECEIPT_CONTEXT + receipt.payload()))

    def _keep(self, peer_id: PeerId, use: _Next, answer: UseAnswer) -> bytes:
        """Keep voucher and answer in one step; the answer as it is sent."""
        use.tree.append(answer.receipt)
        raw, key = answer.to_bytes(), f"{EARNED}{use.voucher.channel}"
        record = EarnedRecord(
            adapter_id=answer.receipt.adapter_id,
            peer_id=peer_id,
            uses=use.voucher.uses,
            cumulative=use.voucher.cumulative,
            root=use.voucher.usage_root.hex(),
            signature=use.signature.hex(),
            tree=use.tree.state,
            session=use.session,
        )
        self._store.channels.save_earned(key, record, answer.signed_receipt(), self._keys.sealing.seal(raw).hex())
        return raw

    async def watch(self) -> None:
        """Redeem what is worth it, or is about to close. Raises: ChainUnavailableError, InsufficientFundsError."""
        due = await asyncio.to_thread(self._due)
        sent = [entry for entry in self._store.outbox.pending_outbox() if entry.kind == "redeem"]
        under_way = {number for entry in sent if not entry.block_hash for number in _redeemed(entry)}
        refused = {number for entry in sent if entry.state == "reverted" for number in _redeemed(entry)}
        due = [item for item in due if item[0].channel not in under_way]
        # A payer can redeem their own voucher a moment before and have the whole batch refused: then each goes alone.
        alone = [[item] for item in due if item[0].channel in refused]
        rest = [item for item in due if item[0].channel not in refused]
        batches = [rest[at : at + _MOST_REDEEMED_AT_ONCE] for at in range(0, len(rest), _MOST_REDEEMED_AT_ONCE)]
        for batch in (*batches, *alone):
            await self._redeem(batch)

    async def _redeem(self, batch: Sequence[Signed]) -> None:
        named = tuple((voucher.channel, voucher.uses) for voucher, _ in batch)
        order_id = f"redeem:{hashlib.sha256(json.dumps(named).encode()).hexdigest()}"
        purpose = RedeemVouchers("redeem", channels=named)
        try:
            await self._treasury.submit(order_id, lambda: self._market.prepare_redeem(batch), purpose)
        except TransactionRevertedError as error:
            if len(batch) == 1:
                log.warning("channel %d is not redeemed: %s", batch[0][0].channel, error.message)
                return
            for item in batch:
                await self._redeem([item])

    def _due(self) -> list[Signed]:
        market, records = self._market, self._store.channels.list_earned()
        numbers = [int(key.removeprefix(EARNED)) for key in records]
        ends_from = market.block_time() + market.facts().close_window_seconds if records else 0
        due = []
        for channel in market.open_channels(numbers) if records else ():
            record = records[f"{EARNED}{channel.number}"]
            if is_worth_redeeming(channel, record.uses, ends_from):
                voucher = Voucher(channel.number, record.cumulative, record.uses, bytes.fromhex(record.root))
                due += self._redeemable(channel, voucher, bytes.fromhex(record.signature))
        return due

    def _redeemable(self, channel: Channel, voucher: Voucher, signature: bytes) -> list[Signed]:
        """The voucher, unless the market would refuse it: one that is refused refuses its whole batch."""
        try:
            self._keys.vouchers.verify(channel.session_account, voucher, signature)
        except VerificationError as error:
            log.warning("channel %d is another one by now: %s", channel.number, error.message)
            return []
        return [(voucher, signature)] if voucher.cumulative <= channel.deposit else []


def _redeemed(entry: OutboxEntry) -> list[int]:
    """The channels whose vouchers the transaction redeems."""
    return [number for number, _ in purpose_as(entry.purpose, RedeemVouchers).channels]
