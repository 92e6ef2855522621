"""The payer's side of metered use: open a channel, ask with a voucher per use, keep the receipts, take the rest back.

The next voucher follows from what is kept (uses, receipts and the sealed session key), so that after a crash the same
voucher is sent again, never another for the same use. Which job asks what is noted before it is asked. The owner
answers one question per voucher; when that is an earlier job's, whose answer was lost on its way, the answer is kept
for that job, sealed, in the same step as its receipt. No answer that is paid for is lost.
`tests/unit/services/uses/test_uses.py`.
"""

import json
from typing import Any

from viz_node.domain.ids import format_amount
from viz_node.domain.job import Job
from viz_node.domain.manifest import AdapterManifest
from viz_node.domain.usage import RECEIPT_CONTEXT, UsageTree, UseAnswer, UseRequest, Voucher, parse_use_answer
from viz_node.errors import (
    LicenseRequiredError,
    VerificationError,
)
from viz_node.ports.network import Requests
from viz_node.ports.state import Channels
from viz_node.services.market.listings import Catalogue, Listing
from viz_node.services.part import Report
from viz_node.services.uses.paid_channels import PAID, PaidChannel, PaidChannels, UseKeys
from viz_node.services.uses.serve_uses import USE_METHOD, receipt_row

_ANSWER_SECONDS = 125.0


class Metered:
    """Uses through channels that this node pays for."""

    def __init__(
        self, rows: Channels, channels: PaidChannels, catalogue: Catalogue, network: Requests, keys: UseKeys
    ) -> None:
        self._rows = rows
        self._channels = channels
        self._catalogue = catalogue
        self._network = network
        self._keys = keys

    async def use(self, job: Job, report: Report) -> dict[str, Any]:
        """Job: have the owner's node write on from a prompt, for the price of one use."""
        kept = self._kept(job)
        if kept is not None:
            return kept
        order = job.order
        listing = await self._catalogue.listing(str(order["adapter"]))
        report({"phase": "ask", "step": 1, "steps": 1})
        paid = await self._channel_for(listing, job)
        while True:
            number, uses = int(paid.number or 0), int(paid.body["uses"]) + 1
            request = UseRequest(listing.adapter_id, number, uses, str(order["prompt"]), int(order["max_new_tokens"]))
            paid = await self._ask(paid, request, job.job_id, listing.manifest)
            # Else it was the answer to an earlier question under the same voucher, and is kept for the job that asked.
            kept = self._kept(job)
            if kept is not None:
                return kept

    def _kept(self, job: Job) -> dict[str, Any] | None:
        for body in self._rows.channels_with(PAID).values():
            if job.job_id in body["kept"]:
                result: dict[str, Any] = json.loads(self._keys.sealing.open(bytes.fromhex(body["kept"][job.job_id])))
                return result
        return None

    async def _ask(self, paid: PaidChannel, request: UseRequest, job_id: str, manifest: AdapterManifest) -> PaidChannel:
        """Send the next voucher with the request, and keep what it paid for: the channel after it."""
        key, body, channel = paid.key, paid.body, paid.channel
        if channel is None or channel.price != body["price"] or request.uses * channel.price > channel.deposit:
            top_up = f"viz-node channel top-up {request.channel} 1.00"
            raise LicenseRequiredError(f"the deposit of channel {request.channel} is used up", top_up)
        tree = UsageTree(body["tree"])
        voucher = Voucher(request.channel, request.uses * channel.price, request.uses, tree.root())
        signature = self._keys.vouchers.sign(self._keys.sealing.open(bytes.fromhex(body["key"])), voucher)
        body["asked"] |= {request.digest(): job_id}
        self._rows.save_channel(key, body)
        raw = await self._network.request(
            manifest.peer_id, USE_METHOD, request.to_bytes(signature), timeout_seconds=_ANSWER_SECONDS
        )
        answer = parse_use_answer(raw)
        self._check(answer, request, body["asked"], manifest)
        tree.append(answer.receipt)
        body = body | {"uses": request.uses, "tree": tree.state, "asked": {}}
        after = PaidChannel(key, body, channel, paid.seconds_left)
        result = self._sealed_result(answer, after, manifest)
        body["kept"] = self._channels.unfinished(body["kept"]) | {paid.body["asked"][answer.receipt.request]: result}
        self._rows.save_channel(key, body, receipt_row(answer))
        return after

    def _sealed_result(self, answer: UseAnswer, after: PaidChannel, manifest: AdapterManifest) -> str:
        result = {
            "text": answer.text,
            "adapter": manifest.name,
            "channel": answer.receipt.channel,
            "paid": format_amount(int(after.body["price"])),
            "uses_left": after.uses_left,
        }
        return self._keys.sealing.seal(json.dumps(result).encode()).hex()

    def _check(self, answer: UseAnswer, request: UseRequest, asked: dict[str, str], manifest: AdapterManifest) -> None:
        receipt = answer.receipt
        said = receipt.market, receipt.channel, receipt.uses, receipt.adapter_id
        if said != (self._keys.vouchers.domain.hex(), request.channel, request.uses, request.adapter_id):
            raise VerificationError("the owner's receipt is for another use")
        if receipt.request not in asked:
            raise VerificationError("the owner's receipt is for something that was not asked")
        self._keys.verify(manifest.peer_id, RECEIPT_CONTEXT + receipt.payload(), answer.signature)

    async def _channel_for(self, listing: Listing, job: Job) -> PaidChannel:
        """The channel in which the job has asked already, else one that can pay, else one that could."""
        channels = [
            paid for paid in await self._channels.channels() if paid.body.get("adapter_id") == listing.adapter_id
        ]
        found = [paid for paid in channels if paid.channel and (paid.seconds_left > 0 or _has_asked(paid, job))]
        found.sort(key=lambda paid: (not _has_asked(paid, job), paid.uses_left <= 0))
        if not found:
            name = listing.manifest.name
            raise LicenseRequiredError(f"no channel for {name} is open", f"viz-node channel open {name} --deposit 2.00")
        return found[0]


def _has_asked(paid: PaidChannel, job: Job) -> bool:
    return job.job_id in paid.body["asked"].values()
