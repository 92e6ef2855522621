"""The holder's side of metered use: check the voucher, write, keep voucher and answer, answer; redeem by itself.

A voucher is kept in the same step as the answer it pays for, before the answer is sent: a crash before that step costs
the payer nothing and the holder one answer's work, after it the payer gets the same answer again for the same voucher.
`tests/integration/test_metered_use.py`.
"""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from typing import Any

from viz_node.domain.ids import PeerId, TokenAmount
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
from viz_node.errors import NotFoundError, RefusedError, VerificationError
from viz_node.ports import Channel, VoucherSigning
from viz_node.services.library import adapter_named
from viz_node.services.trade import Trade

USE_METHOD = "use"
EARNED = "earn:"
Write = Callable[[str, str, int], Awaitable[str]]
"""Name of an adapter of the library, prompt, tokens: the text."""

_MOST_WAITING = 8
_MOST_REDEEMED_AT_ONCE = 50
# No oracle tells what a coin is worth in tokens: a channel is redeemed when it owes a token, and before it closes when
# it owes at least a hundredth. Redeeming takes 50 000 gas (contracts/snapshots/Parts.json).
_WORTH_REDEEMING = TokenAmount(1_000_000)
_WORTH_AT_THE_END = TokenAmount(10_000)


class Meter:
    """Serves uses of this node's metered adapters, one after another, and redeems what they earned."""

    def __init__(self, trade: Trade, vouchers: VoucherSigning, write: Write) -> None:
        self._trade = trade
        self._vouchers = vouchers
        self._write = write
        self._lock = asyncio.Lock()
        self._waiting: set[PeerId] = set()

    async def on_use(self, peer_id: PeerId, payload: bytes) -> bytes:
        """A payer asks for a use, or once more for the last one that was answered."""
        request, signature = parse_use_request(payload)
        if peer_id in self._waiting or len(self._waiting) >= _MOST_WAITING:
            raise RefusedError("the node is busy", "try again in a moment")
        self._waiting.add(peer_id)
        try:
            async with self._lock:
                return await self._serve(peer_id, request, signature)
        finally:
            self._waiting.discard(peer_id)

    async def _serve(self, peer_id: PeerId, request: UseRequest, signature: bytes) -> bytes:
        key = f"{EARNED}{request.channel}"
        account = self._trade.store.channels_with(key).get(key)
        if account is not None and request.uses == account["uses"] and peer_id == account["peer_id"]:
            return self._trade.sealing.open(bytes.fromhex(account["answer"]))
        channel = await self._channel(request)
        tree = UsageTree(account["tree"] if account else None)
        done = account["uses"] if account else channel.uses
        if request.uses != done + 1 or request.uses <= channel.uses:
            raise VerificationError(f"channel {request.channel} is paid for {done} uses, so that {done + 1} is next")
        cumulative = request.uses * channel.price
        if cumulative > channel.deposit:
            top_up = f"viz-node channel top-up {channel.number} 1.00"
            raise RefusedError(f"the deposit of channel {channel.number} is used up", top_up)
        voucher = Voucher(channel.number, cumulative, request.uses, tree.root())
        self._vouchers.verify(channel.session_account, voucher, signature)
        name = self._own_adapter(request.adapter_id)
        answer = self._answer(request, await self._write(name, request.prompt, request.max_new_tokens))
        tree.append(answer.receipt)
        raw = answer.to_bytes()
        body = {
            "adapter_id": request.adapter_id,
            "peer_id": peer_id,
            "uses": request.uses,
            "cumulative": cumulative,
            "root": voucher.usage_root.hex(),
            "signature": signature.hex(),
            "tree": tree.state,
            "answer": self._trade.sealing.seal(raw).hex(),
        }
        self._trade.store.save_channel(key, body, _receipt_row(answer))
        return raw

    def _answer(self, request: UseRequest, text: str) -> UseAnswer:
        receipt = UseReceipt(
            market=self._vouchers.domain.hex(),
            channel=request.channel,
            uses=request.uses,
            adapter_id=request.adapter_id,
            request=request.digest(),
            answer=text_digest(text),
        )
        return UseAnswer(text, receipt, self._trade.sealing.sign(RECEIPT_CONTEXT + receipt.payload()))

    def _own_adapter(self, adapter_id: str) -> str:
        record = adapter_named(self._trade.store, adapter_id)
        if record is None or record.manifest is None or record.origin == "fetched":
            raise NotFoundError("no such adapter here")
        return record.name

    async def _channel(self, request: UseRequest) -> Channel:
        """The channel, open long enough and for a metered offer of the adapter. Raises: NotFoundError, RefusedError."""
        manifest = self._trade.catalogue.manifest_of(
            self._trade.store.find_adapter(self._own_adapter(request.adapter_id))
        )
        return await asyncio.to_thread(self._read_channel, request, manifest.account)

    def _read_channel(self, request: UseRequest, owner: Any) -> Channel:
        market = self._trade.market
        channel = market.channel(request.channel)
        on_chain = market.find_adapter(bytes.fromhex(request.adapter_id), owner)
        offers = market.offers_of(on_chain.number) if on_chain else ()
        if channel.offer_id not in {offer.offer_id for offer in offers if offer.is_metered}:
            raise RefusedError(f"channel {channel.number} pays for another adapter", "viz-node channel list")
        if channel.close_at - market.block_time() < market.facts().close_window_seconds // 2:
            raise RefusedError(f"channel {channel.number} is about to close", "viz-node channel open")
        return channel

    async def watch(self) -> None:
        """Redeem what is worth it, or is about to close. Raises: as a transaction does."""
        due = await asyncio.to_thread(self._due)
        for start in range(0, len(due), _MOST_REDEEMED_AT_ONCE):
            batch = due[start : start + _MOST_REDEEMED_AT_ONCE]
            named = json.dumps([[voucher.channel, voucher.uses] for voucher, _ in batch])
            await self._trade.treasury.execute(
                f"redeem:{hashlib.sha256(named.encode()).hexdigest()}",
                lambda batch=batch: self._trade.market.prepare_redeem(batch),  # type: ignore[misc]
                {"kind": "redeem", "channels": named},
            )

    def _due(self) -> Sequence[tuple[Voucher, bytes]]:
        market, due = self._trade.market, []
        for key, body in self._trade.store.channels_with(EARNED).items():
            if body.get("closed"):
                continue
            number = int(key.removeprefix(EARNED))
            try:
                channel = market.channel(number)
            except NotFoundError:
                self._trade.store.save_channel(key, body | {"closed": True})
                continue
            is_ending = channel.close_at - market.block_time() <= market.facts().close_window_seconds
            owed = (body["uses"] - channel.uses) * channel.price
            if owed >= (_WORTH_AT_THE_END if is_ending else _WORTH_REDEEMING):
                voucher = Voucher(number, body["cumulative"], body["uses"], bytes.fromhex(body["root"]))
                due.append((voucher, bytes.fromhex(body["signature"])))
        return due


def _receipt_row(answer: UseAnswer) -> dict[str, Any]:
    return asdict(answer.receipt) | {"signature": answer.signature.hex()}
