"""The payer's side of metered use: open a channel, ask with a voucher per use, keep the receipts, take the rest back.

The next voucher follows from what is kept (uses, receipts and the sealed session key), so that after a crash the same
voucher is sent again, never another for the same use. Which job asks what is noted before it is asked. The owner
answers one question per voucher; when that is an earlier job's, whose answer was lost on its way, the answer is kept
for that job, sealed, in the same step as its receipt. No answer that is paid for is lost.
`tests/unit/services/uses/test_uses.py`.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace

from viz_node.domain.channel import Channel, PaidChannel, PaidRecord
from viz_node.domain.ids import format_amount
from viz_node.domain.job import Job, JobStep
from viz_node.domain.manifest import AdapterManifest
from viz_node.domain.orders import UseOrder
from viz_node.domain.usage import RECEIPT_CONTEXT, UsageTree, UseAnswer, UseRequest, Voucher, parse_use_answer
from viz_node.errors import (
    LicenseRequiredError,
    VerificationError,
)
from viz_node.ports.network import Requests
from viz_node.ports.state import Channels
from viz_node.services.market.listings import Listing, Listings
from viz_node.services.part import Report
from viz_node.services.uses.paid_channels import PaidChannels, UseKeys
from viz_node.services.uses.serve_uses import USE_METHOD

_ANSWER_SECONDS = 125.0


@dataclass(frozen=True)
class PaidText:
    """What was written for the price of one use, and what the channel still pays for."""

    text: str
    adapter: str
    channel: int
    paid: str
    uses_left: int


@dataclass(frozen=True)
class _Usable:
    """A channel that is on the chain, and whose session key this node has."""

    key: str
    record: PaidRecord
    channel: Channel
    seconds_left: int


class Metered:
    """Uses through channels that this node pays for."""

    def __init__(
        self, rows: Channels, channels: PaidChannels, listings: Listings, network: Requests, keys: UseKeys
    ) -> None:
        self._rows = rows
        self._channels = channels
        self._listings = listings
        self._network = network
        self._keys = keys

    async def use(self, job: Job[UseOrder], report: Report) -> PaidText:
        """Job: have the owner's node write on from a prompt, for the price of one use."""
        kept = self._kept(job.job_id)
        if kept is not None:
            return kept
        order = job.order
        listing = await self._listings.listing(order.adapter)
        report(JobStep("ask", 1, 1))
        channel = await self._channel_for(listing, job.job_id)
        while True:
            number, uses = channel.channel.number, channel.record.uses + 1
            request = UseRequest(listing.adapter_id, number, uses, order.prompt, order.max_new_tokens)
            channel = await self._ask(channel, request, job.job_id, listing.manifest)
            # Else it was the answer to an earlier question under the same voucher, and is kept for the job that asked.
            kept = self._kept(job.job_id)
            if kept is not None:
                return kept

    def _kept(self, job_id: str) -> PaidText | None:
        for record in self._rows.list_paid().values():
            if job_id in record.kept:
                sealed = bytes.fromhex(record.kept[job_id])
                return PaidText(**json.loads(self._keys.sealing.open(sealed)))
        return None

    async def _ask(self, paid: _Usable, request: UseRequest, job_id: str, manifest: AdapterManifest) -> _Usable:
        """Send the next voucher with the request, and keep what it paid for: the channel after it."""
        key, record, channel = paid.key, paid.record, paid.channel
        if channel.price != record.price or request.uses * channel.price > channel.deposit:
            top_up = f"viz-node channel top-up {request.channel} 1.00"
            raise LicenseRequiredError(f"the deposit of channel {request.channel} is used up", top_up)
        tree = UsageTree(record.tree)
        voucher = Voucher(request.channel, request.uses * channel.price, request.uses, tree.root())
        signature = self._keys.vouchers.sign(self._keys.sealing.open(bytes.fromhex(record.key)), voucher)
        record = replace(record, asked={**record.asked, request.digest(): job_id})
        self._rows.save_paid(key, record)
        raw = await self._network.request(
            manifest.peer_id, USE_METHOD, request.to_bytes(signature), timeout_seconds=_ANSWER_SECONDS
        )
        answer = parse_use_answer(raw)
        self._check(answer, request, record.asked, manifest)
        tree.append(answer.receipt)
        asked_by = record.asked[answer.receipt.request]
        after = replace(record, uses=request.uses, tree=tree.state, asked={})
        sealed = self._sealed(answer, PaidChannel(key, after, channel, paid.seconds_left), manifest)
        after = replace(after, kept=self._channels.unfinished(after.kept) | {asked_by: sealed})
        self._rows.save_paid(key, after, answer.signed_receipt())
        return replace(paid, record=after)

    def _sealed(self, answer: UseAnswer, after: PaidChannel, manifest: AdapterManifest) -> str:
        text = PaidText(
            text=answer.text,
            adapter=manifest.name,
            channel=answer.receipt.channel,
            paid=format_amount(after.price),
            uses_left=after.uses_left,
        )
        return self._keys.sealing.seal(json.dumps(asdict(text)).encode()).hex()

    def _check(
        self, answer: UseAnswer, request: UseRequest, asked: Mapping[str, str], manifest: AdapterManifest
    ) -> None:
        receipt = answer.receipt
        said = receipt.market, receipt.channel, receipt.uses, receipt.adapter_id
        if said != (self._keys.vouchers.domain.hex(), request.channel, request.uses, request.adapter_id):
            raise VerificationError("the owner's receipt is for another use")
        if receipt.request not in asked:
            raise VerificationError("the owner's receipt is for something that was not asked")
        self._keys.verify(manifest.peer_id, RECEIPT_CONTEXT + receipt.payload(), answer.signature)

    async def _channel_for(self, listing: Listing, job_id: str) -> _Usable:
        """The channel in which the job has asked already, else one that can pay, else one that could."""
        found = []
        for paid in await self._channels.channels():
            if paid.record and paid.channel and paid.record.adapter_id == listing.adapter_id:
                has_asked = job_id in paid.record.asked.values()
                if paid.seconds_left > 0 or has_asked:
                    usable = _Usable(paid.key, paid.record, paid.channel, paid.seconds_left)
                    found.append((not has_asked, paid.uses_left <= 0, usable))
        if not found:
            name = listing.manifest.name
            raise LicenseRequiredError(f"no channel for {name} is open", f"viz-node channel open {name} --deposit 2.00")
        return min(found, key=lambda item: item[:2])[2]
